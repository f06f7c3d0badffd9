/** The body of `POST /v1/jobs`: an OpenAI body as `input`, with what OpenAI has no place for beside it. Unknown fields are refused. */
import * as Schema from "effect/Schema"
import { Endpoint } from "../Job.ts"
import { AskedMode, constraintFields, wishFields } from "./Extension.ts"
import { ClientTag, ModelName } from "./Sampling.ts"

export const JobSubmission = Schema.Struct({
  /** `chat` unless it is said. */
  endpoint: Schema.optionalKey(Endpoint),
  /** May stand in `input` instead. */
  model: Schema.optionalKey(ModelName),
  input: Schema.JsonObject,
  /** `polling` unless it is said. */
  mode: Schema.optionalKey(AskedMode),
  ...wishFields,
  constraints: Schema.optionalKey(Schema.Struct(constraintFields)),
  user: Schema.optionalKey(ClientTag)
}).annotate({ identifier: "JobSubmission" })
export type JobSubmission = typeof JobSubmission.Type
