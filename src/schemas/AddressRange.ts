/** An IP address, or a range of them as `10.0.0.0/8`. */
import { isIP } from "node:net"
import * as Schema from "effect/Schema"

const isRange = (text: string): boolean => {
  const [address = "", bits, ...rest] = text.split("/")
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}

export const AddressRange = Schema.String.check(
  Schema.makeFilter((text: string) => (isRange(text) ? undefined : "Expected an address, or a range as 10.0.0.0/8"))
)
