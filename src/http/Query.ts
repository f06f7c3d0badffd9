/**
 * Query strings by an allow-list: a parameter that is not known, or that comes twice, is refused. Instants are epoch milliseconds or ISO 8601;
 * a date that does not exist is no date.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import * as Effect from "effect/Effect"

export type Params<Name extends string> = Readonly<Partial<Record<Name, string>>>

const bad = (param: string, issue: string) => refuse("invalid_request", `${param} ${issue}.`, { param })

export const readQuery = <const Name extends string>(
  query: URLSearchParams,
  names: ReadonlyArray<Name>
): Effect.Effect<Params<Name>, Refusal> => {
  const found: Partial<Record<Name, string>> = {}
  for (const [name, value] of query) {
    const known = names.find((one) => one === name)
    if (known === undefined) {
      return Effect.fail(bad(name.slice(0, 64), `is not a parameter here; known are ${names.join(", ") || "none"}`))
    }
    if (found[known] !== undefined) return Effect.fail(bad(name, "comes twice"))
    found[known] = value
  }
  return Effect.succeed(found)
}

export const readInt = (
  param: string,
  text: string | undefined,
  { least, most, otherwise }: { readonly least: number; readonly most: number; readonly otherwise: number }
): Effect.Effect<number, Refusal> => {
  if (text === undefined) return Effect.succeed(otherwise)
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  return value >= least && value <= most
    ? Effect.succeed(value)
    : Effect.fail(bad(param, `must be a whole number from ${least} to ${most}`))
}

export const readOneOf = <const Value extends string>(
  param: string,
  text: string | undefined,
  values: ReadonlyArray<Value>
): Effect.Effect<Value | undefined, Refusal> => {
  if (text === undefined) return Effect.succeed(undefined)
  const known = values.find((value) => value === text)
  return known === undefined ? Effect.fail(bad(param, `must be one of ${values.join(", ")}`)) : Effect.succeed(known)
}

/** 1 to 256 printable characters. */
export const readText = (param: string, text: string | undefined): Effect.Effect<string | undefined, Refusal> =>
  text === undefined || /^[^\p{Cc}]{1,256}$/u.test(text)
    ? Effect.succeed(text)
    : Effect.fail(bad(param, "must be 1 to 256 printable characters"))

const INSTANT_MAX = 4_102_444_800_000
const ISO =
  /^(\d{4})-(\d{2})-(\d{2})(?:T([01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,3})?)?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d))?$/

export const readInstant = (param: string, text: string | undefined): Effect.Effect<number | undefined, Refusal> => {
  if (text === undefined) return Effect.succeed(undefined)
  const at = /^\d{1,13}$/.test(text) ? Number(text) : isoInstant(text)
  return at !== null && at <= INSTANT_MAX
    ? Effect.succeed(at)
    : Effect.fail(bad(param, "must be epoch milliseconds or an ISO 8601 instant"))
}

const isoInstant = (text: string): number | null => {
  const parts = ISO.exec(text)
  if (parts === null || !isDay(Number(parts[1]), Number(parts[2]), Number(parts[3]))) return null
  const at = DateTime.make(text)
  return Option.isSome(at) && at.value.epochMilliseconds >= 0 ? at.value.epochMilliseconds : null
}

const isDay = (year: number, month: number, day: number): boolean => {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
  return days !== undefined && day >= 1 && day <= days
}

export const SPAN_MS_MAX = 366 * 86_400_000

/** A half-open range. Without an end it ends now; without a beginning it begins `otherwiseMs` before its end. */
export const readRange = (
  query: Params<"from" | "to">,
  now: number,
  otherwiseMs: number
): Effect.Effect<{ readonly from: number; readonly to: number }, Refusal> =>
  Effect.gen(function* () {
    // One millisecond more, so that what was made in this very one is within.
    const to = (yield* readInstant("to", query.to)) ?? now + 1
    const from = (yield* readInstant("from", query.from)) ?? Math.max(0, to - otherwiseMs)
    if (from > to) return yield* bad("from", "must not be after to")
    if (to - from > SPAN_MS_MAX) return yield* bad("from", "must not be more than 366 days before to")
    return { from, to }
  })
