/**
 * What a request may say beyond OpenAI's fields: the body object `resultity`, or headers of the same names. A field that is not known is
 * refused here, because a misspelt constraint that is silently ignored would run the job where it must not run.
 */
import * as Schema from "effect/Schema"
import { OnNodeLoss } from "../Job.ts"
import { WorkflowRef } from "../JobRecord.ts"
import { intBetween } from "./Sampling.ts"

export const DEADLINE_MS_MAX = 86_400_000

/** `async` is another word for `polling`. The last three are planned and answered with 501. */
export const AskedMode = Schema.Literals(["sync", "polling", "async", "stream", "batch", "multimodel", "multinode"])
export type AskedMode = typeof AskedMode.Type

/** Customers never ask for `test`. */
export const AskedPriority = Schema.Literals(["urgent", "normal", "bulk"])

const Place = Schema.String.check(Schema.isPattern(/^[^\p{Cc}]{1,64}$/u))

export const constraintFields = {
  subcloud: Schema.optionalKey(Place),
  region: Schema.optionalKey(Place),
  gpu: Schema.optionalKey(Place),
  vram_min_mib: Schema.optionalKey(intBetween(1, 16_777_216))
} as const

export const wishFields = {
  priority: Schema.optionalKey(AskedPriority),
  deadline_ms: Schema.optionalKey(intBetween(1, DEADLINE_MS_MAX)),
  on_node_loss: Schema.optionalKey(OnNodeLoss),
  workflow: Schema.optionalKey(WorkflowRef)
} as const

export const Extension = Schema.Struct({
  mode: Schema.optionalKey(AskedMode),
  ...wishFields,
  ...constraintFields
}).annotate({ identifier: "ResultityExtension" })
export type Extension = typeof Extension.Type
