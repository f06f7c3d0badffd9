/** What every failure looks like to a client, on both listeners. */
import * as Schema from "effect/Schema"

export const Problem = Schema.Struct({
  error: Schema.Struct({
    message: Schema.String,
    type: Schema.String,
    param: Schema.NullOr(Schema.String),
    code: Schema.String
  }),
  request_id: Schema.String,
  /** Of one that is archived or erased: how it ended, and what it used. */
  job: Schema.optionalKey(Schema.Json)
}).annotate({ identifier: "Problem" })
export type Problem = typeof Problem.Type
