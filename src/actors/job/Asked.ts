/** What a node is asked for a job, in the one form that it is sent and hashed in, so that a result can be held to what was asked. */
import type * as Schema from "effect/Schema"
import { requestSha256 } from "../../layers/Signatures.ts"
import type { AgentFrame } from "../../schemas/AgentFrame.ts"
import type { Job } from "../../schemas/Job.ts"
import { type JobRecord, saltOf } from "../../schemas/JobRecord.ts"
import { runtimeBody } from "../../schemas/openai/RuntimeBody.ts"

interface Asking {
  readonly job: Job
  readonly record: JobRecord
}

/** What the runtime is sent: of the accepted request what is for nodes, under the resolved model's name, with a bound on its output. */
export const assignedBody = ({ record, job }: Asking): Schema.JsonObject => {
  const { request } = record.input
  const body = isFields(request) ? runtimeBody(request) : {}
  const bounded = job.endpoint === "embeddings" || OUTPUT_BOUNDS.some((field) => typeof body[field] === "number")
  const bound = bounded ? {} : { max_tokens: Math.ceil(job.outputTokensMax / Math.max(1, job.choices)) }
  return { ...body, ...bound, model: job.model }
}

const OUTPUT_BOUNDS = ["max_tokens", "max_completion_tokens"]
const isFields = (value: Schema.Json): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Whether the result speaks of this job's request and model. */
export const answersWhatWasAsked = (
  asking: Asking,
  { model, requestSha256: told }: Extract<AgentFrame, { readonly _tag: "Result" }>
): boolean => {
  const { job, record } = asking
  return model === job.model && told === requestSha256(saltOf(record), job.endpoint, assignedBody(asking))
}
