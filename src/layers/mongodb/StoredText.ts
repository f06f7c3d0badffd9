/**
 * Text in a field, as itself wherever that is safe, so that an operator finds a model by its name; as marked JSON where a server would change it: NUL,
 * and lone surrogates, which at least one rewrites. Two texts never become the same, so equality in the database is equality here.
 */

const MARK = "json:"

const isNeutral = (text: string): boolean => text.isWellFormed() && !text.includes("\u0000") && !text.startsWith(MARK)

export const storedText = (text: string): string => (isNeutral(text) ? text : `${MARK}${JSON.stringify(text)}`)

export const readText = (stored: string): string =>
  stored.startsWith(MARK) ? (JSON.parse(stored.slice(MARK.length)) as string) : stored

export const storedOrNull = (text: string | null): string | null => (text === null ? null : storedText(text))
export const readOrNull = (stored: string | null): string | null => (stored === null ? null : readText(stored))
