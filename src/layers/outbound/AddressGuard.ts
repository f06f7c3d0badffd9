/**
 * Which addresses a request of ours may go to: those of the public internet, and the ranges that an operator names. Everything else (this machine, its
 * neighbours, a cloud's metadata, the carrier's network, groups, documentation, tunnels that lead to any of these) is refused, in whatever notation
 * it comes. IANA's special-purpose registries say which ranges these are.
 */
import { BlockList, isIP, SocketAddress } from "node:net"

export interface AddressGuard {
  readonly allows: (address: string) => boolean
}

const FORBIDDEN_V4 = [
  "0.0.0.0/8", // "this network"; 0.0.0.0 reaches this very machine
  "10.0.0.0/8",
  "100.64.0.0/10", // carrier-grade NAT
  "127.0.0.0/8",
  "169.254.0.0/16", // link-local, and the metadata of clouds
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24", // relays of 6to4
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4"
]

/** The only part of IPv6 that is handed out to the internet, and what within it is special. */
const GLOBAL_V6 = "2000::/3"
const FORBIDDEN_V6 = [
  "2001::/23", // Teredo and other protocols of the IETF
  "2001:db8::/32",
  "2002::/16", // 6to4 holds an IPv4 address
  "3fff::/20"
]

type Family = "ipv4" | "ipv6"

const familyOf = (address: string): Family => (isIP(address) === 6 ? "ipv6" : "ipv4")

const listOf = (ranges: ReadonlyArray<string>): BlockList => {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = "", bits] = range.split("/")
    const family = familyOf(address)
    list.addSubnet(address, bits === undefined ? (family === "ipv4" ? 32 : 128) : Number(bits), family)
  }
  return list
}

const forbiddenV4 = listOf(FORBIDDEN_V4)
const globalV6 = listOf([GLOBAL_V6])
const forbiddenV6 = listOf(FORBIDDEN_V6)

/** One notation for each address, and IPv4 within IPv6 as IPv4; null: it is no address, or one of a single link. */
const canonical = (address: string): { readonly address: string; readonly family: Family } | null => {
  if (isIP(address) === 0 || address.includes("%")) return null
  const family = familyOf(address)
  const { address: plain } = new SocketAddress({ address, family })
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain)?.[1]
  return mapped === undefined ? { address: plain, family } : { address: mapped, family: "ipv4" }
}

/** @param allowed addresses and ranges that are allowed whatever they are, each an `AddressRange` */
export const make = (allowed: ReadonlyArray<string>): AddressGuard => {
  const named = listOf(allowed)
  return {
    allows: (text) => {
      const known = canonical(text)
      if (known === null) return false
      const { address, family } = known
      if (named.check(address, family)) return true
      return family === "ipv4"
        ? !forbiddenV4.check(address, family)
        : globalV6.check(address, family) && !forbiddenV6.check(address, family)
    }
  }
}
