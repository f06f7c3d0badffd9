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
 * nothing. FNV-1a of 32 bits over the owner and the id, and the time as two numbers.
 */
const checkOf = (at: number, id: string, owner: string): string => {
  const withId = mixed(id, startOf(owner))
  const withTime = Math.imul(Math.imul(withId ^ at, PRIME) ^ Math.floor(at / 2 ** 32), PRIME)
  return (withTime >>> 0).toString(36)
}

const PRIME = 0x01000193

const mixed = (text: string, start: number): number => {
  let hash = start
  for (let place = 0; place < text.length; place++) hash = Math.imul(hash ^ text.charCodeAt(place), PRIME)
  return hash
}

/** Of the owner that was asked for last: an export asks for one, row after row. */
let known: { readonly owner: string; readonly start: number } | null = null

const startOf = (owner: string): number => {
  if (known?.owner !== owner) known = { owner, start: mixed(`cursor/v3 ${owner}`, 0x811c9dc5) }
  return known.start
}

const CURSOR = /^(\d{1,16})\.([\w-]{1,128})\.[a-z\d]{1,7}$/

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
