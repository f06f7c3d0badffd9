/** The key by which daemons of tests speak for their network: always the same one. */
import { Redacted, Result } from "effect"
import { of, type NetworkKey, parse } from "../../src/layers/NetworkKey.ts"

export const networkKeyOf = (digit: string): NetworkKey["Service"] =>
  Result.getOrThrow(parse(Redacted.make(digit.repeat(64))))

export const testKey = networkKeyOf("1")

export const testNetworkKey = of(testKey)
