/**
 * The end of a job whose every way of ending crashes its actor: past the actor, by the plainest means, so that its credits return and it stops
 * taking daemons down. Its record says `poison`, if it can still be written.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { waitOut } from "../../layers/Outage.ts"
import { zero } from "../../schemas/Credits.ts"
import { freshEnvelope } from "../../schemas/Envelope.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import type { JobHouse } from "./JobActorState.ts"

const POISON = "poison"

export const endPoisoned = (house: JobHouse, { job, epoch, owner, state, nodeId }: JobRow): Effect.Effect<void> =>
  Effect.gen(function* () {
    const at = yield* Clock.currentTimeMillis
    const closing = {
      state: "failed",
      errorCode: POISON,
      finishedAt: at,
      cost: zero,
      completeness: "truncated",
      truncatedReason: POISON
    } as const
    yield* Effect.logError("job crashes its actor again and again", { jobId: job.id })
    yield* Effect.catchCause(
      waitOut(house.records.patch({ jobId: job.id, epoch, patch: closing, durable: true })),
      (cause) => Effect.logError("poisoned job's record stays as it is", { jobId: job.id, cause: String(cause) })
    )
    const { traceparent } = job
    const envelope = yield* freshEnvelope({ _tag: "JobFinished", jobId: job.id, state: "failed" }, { traceparent })
    const guarded = yield* waitOut(
      house.store.finish({
        jobId: job.id,
        daemonId: state === "queued" ? null : owner,
        epoch,
        state: "failed",
        charge: zero,
        usage: { promptTokens: 0, outputTokens: 0 },
        nodeId,
        code: POISON,
        envelope,
        at
      })
    )
    if (guarded._tag === "Done") house.publisher.offer({ target: { _tag: "Topic", topic: "job" }, envelope })
  })
