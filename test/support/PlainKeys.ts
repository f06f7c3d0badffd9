/**
 * Keeps generated values clear of a defect of Node 24's `JSON.parse`: it may take a key that is written with an escape for another one that it
 * saw in its place before (after `{"":0,"\\":0}` it reads `{"":0,"\u0000":0}` as the former). What became of such a key says nothing of ours.
 */
const isEscaped = (key: string): boolean => JSON.stringify(key) !== `"${key}"`

/** The value without the keys, at any depth, that JSON writes with an escape. */
export const withPlainKeys = <A>(value: A): A => plain(value) as A

const plain = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== "object" || value === null || value instanceof Error) return value
  const fields = Object.entries(value).filter(([key]) => !isEscaped(key))
  return Object.fromEntries(fields.map(([key, inner]) => [key, plain(inner)]))
}
