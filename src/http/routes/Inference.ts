/** `POST /v1/chat/completions`, `/v1/completions`, `/v1/embeddings`: one road for three bodies. */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Endpoint } from "../../schemas/Job.ts"
import { readJson } from "../Body.ts"
import type { KeyedCall } from "../Call.ts"
import { jobRequest, readAsked } from "../Inference.ts"
import { submitting } from "../Route.ts"
import { submit } from "../Submission.ts"
import { readWishes } from "../Wishes.ts"

const inference = (endpoint: Endpoint) =>
  submitting(
    Effect.fnUntraced(function* (call: KeyedCall) {
      const sent = yield* readJson(call)
      const asked = yield* readAsked(endpoint, sent)
      // The schema takes objects only.
      const body = sent as Schema.JsonObject
      const wishes = yield* readWishes(call, asked.resultity, asked.stream)
      return yield* submit(call, yield* jobRequest(call, asked, wishes, body), asked)
    })
  )

export const inferenceRoutes = {
  createChatCompletion: inference("chat"),
  createCompletion: inference("completions"),
  createEmbedding: inference("embeddings")
}
