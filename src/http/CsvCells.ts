/**
 * What stands in a cell of a CSV. Quotes and line breaks are the encoder's part; here is what it leaves: no cell begins in a way that a spreadsheet would
 * run. A text that does gets an apostrophe before it, which is what spreadsheets themselves write. Numbers are as they are.
 */

/** Signs that begin a formula, in their wide forms too, also behind blanks that a spreadsheet takes away before it looks. */
const FORMULA = /^(?:[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20])/

/** Begins nothing: the quick answer for most of what stands in a cell. */
const isPlain = (sign: number): boolean =>
  (sign >= 0x30 && sign <= 0x39) || (sign >= 0x41 && sign <= 0x5a) || (sign >= 0x61 && sign <= 0x7a)

export const harmlessCell = (value: string | number | null): string => {
  if (value === null) return ""
  if (typeof value === "number") return String(value)
  return !isPlain(value.charCodeAt(0)) && FORMULA.test(value) ? `'${value}` : value
}
