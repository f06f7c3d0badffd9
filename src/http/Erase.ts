/**
 * An order of erasure, and a moment's patience: whoever asks is told that it is done when it is done soon, and otherwise that it is ordered. The sweeper
 * does it, so that nothing is erased by two at a time.
 */
import * as Effect from "effect/Effect"
import { SweepSupervisor } from "../actors/sweep/SweepSupervisor.ts"
import { Erasures } from "../layers/Erasures.ts"
import { JobRecords } from "../layers/JobRecords.ts"
import { Namespaces } from "../layers/Namespaces.ts"
import type { ErasureOrder } from "../schemas/Erasure.ts"
import type { NamespaceId } from "../schemas/Ids.ts"
import { isTerminal, type JobRow } from "../schemas/JobState.ts"
import { refuse } from "../schemas/Refusal.ts"

const LOOKS_MAX = 10
const LOOK_EVERY = "200 millis"

const onHold = refuse("conflict", "This is under legal hold and cannot be erased. It can once the hold is released.")

export const refuseHeldNamespace = Effect.fnUntraced(function* (id: NamespaceId) {
  if ((yield* (yield* Namespaces).get(id))?.rules.held === true) return yield* onHold
})

/** Finished, and under no hold. */
export const refuseUnerasable = Effect.fnUntraced(function* ({ job, state }: JobRow) {
  if (!isTerminal(state)) {
    return yield* refuse("conflict", "The job has not ended. Cancel it first, then erase it.", { jobId: job.id })
  }
  yield* refuseHeldNamespace(job.namespaceId)
  const record = yield* (yield* JobRecords).get({ _tag: "Namespace", namespaceId: job.namespaceId }, job.id)
  if (record?.held === true) return yield* onHold
})

/** The order, as far as it came in a moment. */
export const orderErasure = Effect.fnUntraced(function* (order: ErasureOrder) {
  const erasures = yield* Erasures
  const sweepers = yield* SweepSupervisor
  let known = yield* erasures.order(order)
  for (let looks = 0; looks < LOOKS_MAX && known.doneAt === null; looks++) {
    // Another pass is under way, or the leader is about to change: the order stands.
    const swept = yield* Effect.result(sweepers.sweep("erasure", false))
    known = (yield* erasures.get(order.id)) ?? known
    if (known.doneAt === null) yield* Effect.sleep(swept._tag === "Success" && order.jobId === null ? 0 : LOOK_EVERY)
  }
  return known
})
