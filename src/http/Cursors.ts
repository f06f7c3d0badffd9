/**
 * Positions in a list as clients hold them: a time and an id, with a check over whose they are. One that was changed, or given to another namespace, is
 * refused. It names a position and no entry, so it stays true when the entry is gone.
 */
import { hash } from "node:crypto"
import * as Effect from "effect/Effect"
import { type Refusal, refuse } from "../schemas/Refusal.ts"

export interface Position {
  readonly at: number
  readonly id: string
}

/** `owner` keeps the cursors of one reader, and of one kind of list, from being used by another. */
export const writeCursor = ({ at, id }: Position, owner: string): string =>
  Buffer.from(`${at}.${id}.${checkOf(at, id, owner)}`).toString("base64url")

const checkOf = (at: number, id: string, owner: string): string =>
  hash("sha256", `cursor/v1 ${owner} ${at} ${id}`, "base64url").slice(0, 16)

const CURSOR = /^(\d{1,16})\.([\w-]{1,128})\.[\w-]{16}$/

export const readCursor = (
  param: string,
  text: string | undefined,
  owner: string
): Effect.Effect<Position | null, Refusal> => {
  if (text === undefined) return Effect.succeed(null)
  const [, at = "", id = ""] = CURSOR.exec(Buffer.from(text, "base64url").toString("latin1")) ?? []
  const position = { at: Number(at), id }
  return at !== "" && writeCursor(position, owner) === text
    ? Effect.succeed(position)
    : Effect.fail(refuse("invalid_request", "This cursor is not from here. Begin again without one.", { param }))
}
