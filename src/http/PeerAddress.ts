/**
 * Whose request it is, for the limits that count by address. Behind a gateway every connection is the gateway's; what it says in X-Forwarded-For
 * counts when it was named as one that is trusted, and of that the last address that no trusted gateway has. Whatever else a header claims, anybody
 * may have written.
 */
import { BlockList, isIP } from "node:net"

export type PeerAddress = (incoming: Incoming) => string

interface Incoming {
  readonly socket: { readonly remoteAddress?: string | undefined }
  readonly headers: Readonly<Record<string, string | Array<string> | undefined>>
}

const HOPS_MAX = 16

const familyOf = (address: string) => (isIP(address) === 6 ? "ipv6" : "ipv4")

const listOf = (ranges: ReadonlyArray<string>): BlockList => {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = "", bits] = range.split("/")
    if (bits === undefined) list.addAddress(address, familyOf(address))
    else list.addSubnet(address, Number(bits), familyOf(address))
  }
  return list
}

/** As a socket of both families names an IPv4 peer. */
const plain = (address: string): string => (address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address)

/** @param trusted addresses and ranges of gateways, each an `AddressRange` */
export const make = (trusted: ReadonlyArray<string>): PeerAddress => {
  const gateways = listOf(trusted)
  const isGateway = (address: string) => isIP(address) !== 0 && gateways.check(address, familyOf(address))
  return ({ socket, headers }) => {
    const peer = plain(socket.remoteAddress ?? "unknown")
    const said = headers["x-forwarded-for"]
    if (said === undefined || !isGateway(peer)) return peer
    const hops = (typeof said === "string" ? said : said.join(",")).split(",")
    let client = peer
    for (const hop of hops.slice(-HOPS_MAX).toReversed()) {
      const address = plain(hop.trim())
      if (isIP(address) === 0) return client
      client = address
      if (!isGateway(address)) return client
    }
    return client
  }
}
