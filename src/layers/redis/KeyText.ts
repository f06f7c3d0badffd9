/**
 * Texts of others (names of models, of limits) as keys, scripts and messages hold them, and back. Anybody may choose them; two must never become one, and
 * none may hold what a script cannot read. Half a surrogate pair is both: Redis gets it as the replacement character, and cjson fails on its escape. So
 * it is JSON's escaped text without the quotes: well-formed, on one line, and the text itself for almost every name.
 */

export const toKeyText = (text: string): string => JSON.stringify(text).slice(1, -1)

/** Throws on what `toKeyText` never gives. */
export const fromKeyText = (keyText: string): string => JSON.parse(`"${keyText}"`) as string
