/**
 * Values as a person reads them: instants as ISO 8601 in UTC, nothing as `-`. Names and texts come from customers and nodes, so what could
 * move a terminal's cursor or turn its text around is made visible instead.
 */
const INSTANT_MAX = 8_640_000_000_000_000

export const instant = (at: number | null | undefined): string => {
  if (at === null || at === undefined) return "-"
  return Math.abs(at) <= INSTANT_MAX ? new Date(at).toISOString() : String(at)
}

/** Milliseconds since the epoch of an ISO 8601 instant or of such a number; null when it is neither. */
export const toInstant = (text: string): number | null => {
  if (/^\d{1,13}$/.test(text)) return Number(text)
  if (!/^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text)) return null
  const at = Date.parse(text)
  return Number.isNaN(at) ? null : at
}

/** What is wrong with it as an instant, or null. */
export const instantFault = (text: string): string | null =>
  toInstant(text) === null ? "has to be an ISO 8601 instant (2026-11-25T08:00:00Z) or epoch milliseconds" : null

export const orDash = (text: string | number | null | undefined): string =>
  text === null || text === undefined || text === "" ? "-" : String(text)

const UNSAFE = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** On one line, and harmless on a terminal. */
export const oneLine = (text: string): string => text.replaceAll(/[\r\n\t]+/g, " ").replaceAll(UNSAFE, "\ufffd")

/** Harmless on a terminal, with its lines. */
export const harmless = (text: string): string =>
  text.replaceAll(UNSAFE, (sign) => (sign === "\n" || sign === "\t" ? sign : "\ufffd"))

/** `1 job`, `2 jobs`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`
