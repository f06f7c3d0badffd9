/**
 * Money: whole micro-credits as a bigint, never negative, at most what a signed 64-bit column holds.
 * On the wire a decimal string, because JSON numbers lose units above 2^53.
 */
import * as Schema from "effect/Schema"

export const CREDITS_MAX = 2n ** 63n - 1n
/** Micro-credits in one credit. */
export const MICRO = 1_000_000n
const DECIMALS = 6

export const Credits = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: CREDITS_MAX })).pipe(
  Schema.brand("Credits")
)
export type Credits = typeof Credits.Type

/** As it travels in JSON: `"1500000"`. */
export const CreditsFromString = Schema.BigIntFromString.check(
  Schema.isBetweenBigInt({ minimum: 0n, maximum: CREDITS_MAX })
).pipe(Schema.brand("Credits"))

export const zero = Credits.make(0n)

/** Micro-credits as a person reads them: `1.5` for 1,500,000. */
export const toDecimal = (amount: bigint): string => {
  const sign = amount < 0n ? "-" : ""
  const digits = (amount < 0n ? -amount : amount).toString().padStart(DECIMALS + 1, "0")
  const point = digits.length - DECIMALS
  let end = digits.length
  while (end > point && digits[end - 1] === "0") end--
  return `${sign}${digits.slice(0, point)}${end === point ? "" : `.${digits.slice(point, end)}`}`
}

/** What `toDecimal` printed, back in micro-credits; `undefined` when it is no amount or has more than six decimals. */
export const fromDecimal = (text: string): Credits | undefined => {
  const match = /^(\d{1,13})(?:\.(\d{1,6}))?$/.exec(text.trim())
  if (match === null) return undefined
  const amount = BigInt(match[1] ?? "0") * MICRO + BigInt((match[2] ?? "").padEnd(6, "0"))
  return amount > CREDITS_MAX ? undefined : Credits.make(amount)
}

/** A namespace's money at one instant. Always `granted = available + reserved + spent`. */
export interface Balance {
  readonly granted: Credits
  readonly available: Credits
  readonly reserved: Credits
  readonly spent: Credits
}

export const BalanceWire = Schema.Struct({
  granted: CreditsFromString,
  available: CreditsFromString,
  reserved: CreditsFromString,
  spent: CreditsFromString
})

/** grant: from outside to available. reserve: available → reserved. settle: reserved → spent. refund: reserved → available. */
export const EntryKind = Schema.Literals(["grant", "reserve", "settle", "refund"])
export type EntryKind = typeof EntryKind.Type
