/**
 * What stands in a cell of a CSV. Quotes and line breaks are the encoder's part; here is what it leaves: no cell begins in a way that a spreadsheet would
 * run. A text that does gets an apostrophe before it, which is what spreadsheets themselves write. Numbers are as they are.
 */

/** Signs that begin a formula, in their wide forms too, also behind blanks that a spreadsheet takes away before it looks. */
const FORMULA = /^(?:[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20])/

export const harmlessCell = (value: string | number | null): string => {
  if (value === null) return ""
  return typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value)
}
