/** A customer's own job is forgotten: what was asked and answered goes everywhere, and a signed stone with its hash stays. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Erasures } from "../../layers/Erasures.ts"
import { freshErasureId } from "../../schemas/Ids.ts"
import { refuse } from "../../schemas/Refusal.ts"
import { json, type KeyedCall } from "../Call.ts"
import { orderErasure, refuseUnerasable } from "../Erase.ts"
import { erasureView } from "../JobViews.ts"
import { keyed } from "../Route.ts"
import { rowOf } from "./Jobs.ts"

export const eraseJob = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const row = yield* rowOf(call)
    yield* refuseUnerasable(row)
    const { id: jobId, namespaceId } = row.job
    const askedAt = yield* Clock.currentTimeMillis
    const by = `namespace/${namespaceId}`
    const id = yield* freshErasureId
    const erasure = yield* orderErasure({ id, namespaceId, jobId, clientTag: null, by, reason: "DELETE", askedAt })
    if (erasure.refused > 0) {
      return yield* refuse("conflict", "The job is under legal hold and cannot be erased.", { jobId })
    }
    const stone = erasure.doneAt === null ? null : yield* (yield* Erasures).stone(jobId)
    return json(erasureView(jobId, erasure, stone), erasure.doneAt === null ? 202 : 200)
  })
)
