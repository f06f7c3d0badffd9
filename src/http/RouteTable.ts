/**
 * Finds the route of a method and a path. Paths are matched segment by segment before decoding, so an encoded slash stays within its
 * parameter; a last segment written `*name` takes everything that is left. A known path with another method is not an unknown path.
 */

export interface Entry<T> {
  readonly method: string
  /** `/v1/jobs/:id`. */
  readonly path: string
  readonly target: T
}

export type Match<T> =
  | { readonly _tag: "Found"; readonly entry: Entry<T>; readonly params: Readonly<Record<string, string>> }
  | { readonly _tag: "WrongMethod"; readonly allow: string }
  | { readonly _tag: "Unknown" }

export type RouteTable<T> = (method: string, path: string) => Match<T>

interface Pattern<T> {
  readonly segments: ReadonlyArray<string>
  readonly methods: Map<string, Entry<T>>
}

const UNKNOWN = { _tag: "Unknown" } as const

export const make = <T>(entries: ReadonlyArray<Entry<T>>): RouteTable<T> => {
  const fixed = new Map<string, Pattern<T>>()
  const open: Array<Pattern<T>> = []
  for (const entry of entries) {
    const pattern = fixed.get(entry.path) ?? open.find(({ segments }) => segments.join("/") === entry.path)
    if (pattern !== undefined) pattern.methods.set(entry.method, entry)
    else {
      const fresh = { segments: entry.path.split("/"), methods: new Map([[entry.method, entry]]) }
      if (/\/[:*]/.test(entry.path)) open.push(fresh)
      else fixed.set(entry.path, fresh)
    }
  }
  return (method, path) => {
    const exact = fixed.get(path)
    if (exact !== undefined) return choose(exact, method, {})
    const segments = path.split("/")
    for (const pattern of open) {
      const params = fit(pattern.segments, segments)
      if (params !== null) return choose(pattern, method, params)
    }
    return UNKNOWN
  }
}

/** HEAD is answered wherever GET is; the server leaves the body out. */
const choose = <T>({ methods }: Pattern<T>, method: string, params: Record<string, string>): Match<T> => {
  const entry = methods.get(method) ?? (method === "HEAD" ? methods.get("GET") : undefined)
  return entry === undefined
    ? { _tag: "WrongMethod", allow: [...methods.keys()].join(", ") }
    : { _tag: "Found", entry, params }
}

const fit = (pattern: ReadonlyArray<string>, path: ReadonlyArray<string>): Record<string, string> | null => {
  const params: Record<string, string> = {}
  for (const [at, part] of pattern.entries()) {
    const given = path[at]
    if (given === undefined) return null
    if (part.startsWith("*")) return take(params, part, path.slice(at).join("/"))
    if (!part.startsWith(":")) {
      if (part !== given) return null
    } else if (take(params, part, given) === null) return null
  }
  return pattern.length === path.length ? params : null
}

const take = (params: Record<string, string>, part: string, text: string): Record<string, string> | null => {
  if (text === "") return null
  try {
    params[part.slice(1)] = decodeURIComponent(text)
    return params
  } catch {
    // Not percent-encoded UTF-8, so it names nothing.
    return null
  }
}
