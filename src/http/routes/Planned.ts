/** OpenAI's paths that are planned: known, so that a client hears 501 and not 404, and permanent, so that it does not try again. */
import * as Effect from "effect/Effect"
import { refuse } from "../../schemas/Refusal.ts"
import { submitting } from "../Route.ts"

const planned = submitting(() =>
  Effect.fail(
    refuse("not_available", "This kind of request is planned and not available yet. Text and embeddings are.")
  )
)

export const plannedRoutes = {
  createImage: planned,
  editImage: planned,
  varyImage: planned,
  describeImage: planned,
  describeImages: planned,
  transcribeAudio: planned,
  translateAudio: planned,
  translateAudioSingular: planned,
  createSpeech: planned,
  createModeration: planned,
  createResponse: planned,
  createBatch: planned
}
