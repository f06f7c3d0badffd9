/**
 * Envelopes as the broker carries them: JSON in UTF-8. They are plain values of it already, so writing needs no schema; what is read was written
 * by another program, maybe of another version, and is checked. The reason why something is no envelope never repeats what stands in it.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { Envelope } from "../../schemas/Envelope.ts"

export const CONTENT_TYPE = "application/json"

export const encode = (envelope: Envelope): Buffer => Buffer.from(JSON.stringify(envelope))

/** The envelope, or why it is none. */
export const decode = (content: Buffer): Result.Result<Envelope, string> => {
  const parsed = parse(content)
  if (Result.isFailure(parsed)) return Result.fail("not JSON")
  return Result.mapError(check(parsed.success), ({ issue }) => `not an envelope${placeOf(issue)}`)
}

const check = Schema.decodeUnknownResult(Envelope)
const format = SchemaIssue.makeFormatterStandardSchemaV1()

const parse = (content: Buffer): Result.Result<unknown, unknown> =>
  Result.try(() => JSON.parse(content.toString("utf8")) as unknown)

/** Two steps into the envelope are names of ours; deeper ones may be somebody's words. */
const placeOf = (issue: SchemaIssue.Issue): string => {
  const path = format(issue).issues[0]?.path ?? []
  return path.length === 0 ? "" : ` (${path.slice(0, 2).map(String).join(".")})`
}
