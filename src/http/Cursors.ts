/**
 * Positions in a list as clients hold them: a time and an id, with a check over whose they are. One that was changed, or given to another namespace, is
 * refused. It names a position and no entry, so it stays true when the entry is gone.
 */
import * as Effect from "effect/Effect"
import { type Refusal, refuse } from "../schemas/Refusal.ts"

export interface Position {
  readonly at: number
  readonly id: string
}

/** `owner` keeps the cursors of one reader, and of one kind of list, from being used by another. */
export const writeCursor = ({ at, id }: Position, owner: string): string => `${at}.${id}.${checkOf(at, id, owner)}`

/**
 * Against mistakes and not against forgers, who would gain a position in their own list: a row of an export ends with one, so it has to cost next to
 * nothing. Two FNV-1a hashes of 32 bits.
 */
const checkOf = (at: number, id: string, owner: string): string => {
  const [one, two] = mixed(String(at), mixed(id, startOf(owner)))
  return `${(one >>> 0).toString(36)}-${(two >>> 0).toString(36)}`
}

type Mix = readonly [one: number, two: number]

const mixed = (text: string, [one, two]: Mix): Mix => {
  let [a, b] = [one, two]
  for (let place = 0; place < text.length; place++) {
    const unit = text.charCodeAt(place)
    a = Math.imul(a ^ unit, 0x01000193)
    b = Math.imul(b ^ (unit + 1), 0x01000193)
  }
  // So that `1` and `23` are not `12` and `3`.
  return [Math.imul(a ^ 0xff, 0x01000193), Math.imul(b ^ 0xff, 0x01000193)]
}

/** Of the owner that was asked for last: an export asks for one, row after row. */
let known: { readonly owner: string; readonly start: Mix } | null = null

const startOf = (owner: string): Mix => {
  if (known?.owner !== owner) known = { owner, start: mixed(`cursor/v2 ${owner}`, [0x811c9dc5, 0x9747b28c]) }
  return known.start
}

const CURSOR = /^(\d{1,16})\.([\w-]{1,128})\.[\w-]{3,15}$/

export const readCursor = (
  param: string,
  text: string | undefined,
  owner: string
): Effect.Effect<Position | null, Refusal> => {
  if (text === undefined) return Effect.succeed(null)
  const [, at = "", id = ""] = CURSOR.exec(text) ?? []
  const position = { at: Number(at), id }
  return at !== "" && writeCursor(position, owner) === text
    ? Effect.succeed(position)
    : Effect.fail(refuse("invalid_request", "This cursor is not from here. Begin again without one.", { param }))
}
