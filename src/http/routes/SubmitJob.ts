/**
 * `POST /v1/jobs`: the same jobs as behind OpenAI's paths, with everything that a job can be told said in fields. It becomes the body that
 * OpenAI's path would have got, extension included, so that a job's record looks the same whichever way it came.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { JobSubmission } from "../../schemas/openai/JobSubmission.ts"
import { Refusal } from "../../schemas/Refusal.ts"
import { readJson } from "../Body.ts"
import type { KeyedCall } from "../Call.ts"
import { badField, decoder } from "../Decode.ts"
import { jobRequest, readAsked } from "../Inference.ts"
import { submitting } from "../Route.ts"
import { submit } from "../Submission.ts"
import { constraintsOf, modeOf } from "../Wishes.ts"

const decodeSubmission = decoder(JobSubmission, { strict: true })

export const submitJob = submitting(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const submission = yield* decodeSubmission(yield* readJson(call))
    const mode = yield* modeOf(submission.mode ?? "polling", false, false)
    if (submission.input["resultity"] !== undefined) {
      return yield* badField("input.resultity", "say it in the fields beside input")
    }
    const {
      endpoint = "chat",
      model,
      input,
      user,
      constraints = {},
      priority,
      deadline_ms,
      on_node_loss,
      workflow
    } = submission
    const body: Schema.JsonObject = {
      ...input,
      ...given({ model, user }),
      stream: mode === "stream",
      resultity: given({ mode, priority, deadline_ms, on_node_loss, workflow, ...constraints })
    }
    const asked = yield* Effect.mapError(readAsked(endpoint, body), withinInput)
    const wishes = {
      mode,
      priority: priority ?? null,
      deadlineMs: deadline_ms ?? null,
      constraints: constraintsOf(constraints),
      onNodeLoss: on_node_loss ?? null,
      workflow: workflow ?? null
    }
    return yield* submit(call, yield* jobRequest(call, asked, wishes, body), asked)
  })
)

const given = (fields: Readonly<Record<string, Schema.Json | undefined>>): Schema.JsonObject =>
  Object.fromEntries(Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])))

/** The field as it stands in this body. */
const withinInput = (refusal: Refusal): Refusal =>
  refusal.param === undefined || refusal.param === "model"
    ? refusal
    : new Refusal({ ...refusal, param: `input.${refusal.param}`, message: `input.${refusal.message}` })
