/** Erasure on request, for operators: of one job, of an end user, of a namespace; and how far each order is. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Erasures } from "../../../layers/Erasures.ts"
import { JobStore } from "../../../layers/JobStore.ts"
import { Namespaces } from "../../../layers/Namespaces.ts"
import { ErasureId, freshErasureId, type JobId, NamespaceId } from "../../../schemas/Ids.ts"
import { refuse } from "../../../schemas/Refusal.ts"
import type { Call } from "../../Call.ts"
import { orderErasure, refuseHeldNamespace, refuseUnerasable } from "../../Erase.ts"
import { audit, readOrder } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { readInt, readQuery } from "../../Query.ts"
import { open } from "../../Route.ts"
import { jobIdOf, jobNotFound } from "../Jobs.ts"

export const EraseOrder = Schema.Struct({
  namespaceId: NamespaceId,
  /** The end user's tag, as `user` of the requests; absent: all of the namespace. */
  user: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(256)))
})
const readErase = readOrder(EraseOrder)

export const EraseJobOrder = Schema.Struct({
  /** Whose it was, for a job whose row has left: what is archived of it is looked for in the segments of this namespace. */
  namespaceId: Schema.optionalKey(NamespaceId)
})
const readEraseJob = readOrder(EraseJobOrder)

const isErasureId = Schema.is(ErasureId)
const notFound = refuse("not_found", "There is no such erasure.")

/** Its row says so; without one, whoever asks. Refused when it cannot be erased. */
const whoseJob = Effect.fnUntraced(function* (jobId: JobId, asked: NamespaceId | undefined) {
  const row = yield* (yield* JobStore).get(jobId)
  if (row !== null) {
    if (asked !== undefined && asked !== row.job.namespaceId) return yield* jobNotFound
    yield* refuseUnerasable(row)
    return row.job.namespaceId
  }
  if (asked === undefined || (yield* (yield* Namespaces).get(asked)) === null) return yield* jobNotFound
  yield* refuseHeldNamespace(asked)
  return asked
})

const eraseJob = open(
  Effect.fnUntraced(function* (call: Call) {
    const jobId = yield* jobIdOf(call)
    const order = yield* readEraseJob(call)
    const namespaceId = yield* whoseJob(jobId, order.body.namespaceId)
    const { reason, by, at: askedAt } = order
    const id = yield* freshErasureId
    const erasure = yield* orderErasure({ id, namespaceId, jobId, clientTag: null, by, reason, askedAt })
    yield* audit(order, "job.erase", `job/${jobId}`, { erasure: id })
    if (erasure.refused > 0) return yield* refuse("conflict", "The job is under legal hold and cannot be erased.")
    const stone = erasure.doneAt === null ? null : yield* (yield* Erasures).stone(jobId)
    return plain({ erasure, stone }, erasure.doneAt === null ? 202 : 200)
  })
)

const erase = open(
  Effect.fnUntraced(function* (call: Call) {
    const order = yield* readErase(call)
    const { namespaceId, user = null } = order.body
    if ((yield* (yield* Namespaces).get(namespaceId)) === null) {
      return yield* refuse("not_found", "There is no such namespace.", { param: "namespaceId" })
    }
    yield* refuseHeldNamespace(namespaceId)
    const { reason, by, at: askedAt } = order
    const id = yield* freshErasureId
    const erasure = yield* (yield* Erasures).order({
      id,
      namespaceId,
      jobId: null,
      clientTag: user,
      by,
      reason,
      askedAt
    })
    yield* audit(order, "namespace.erase", `namespace/${namespaceId}`, { erasure: id, ofOneUser: user !== null })
    return plain({ erasure }, 202)
  })
)

const list = open(
  Effect.fnUntraced(function* (call: Call) {
    const query = yield* readQuery(call.query, ["limit"])
    const limit = yield* readInt("limit", query.limit, { least: 1, most: 1000, otherwise: 100 })
    return plain({ data: yield* (yield* Erasures).list(limit) })
  })
)

const get = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = call.params["id"]
    const erasure = isErasureId(id) ? yield* (yield* Erasures).get(id) : null
    return erasure === null ? yield* notFound : plain({ erasure })
  })
)

export const erasureRoutes = { eraseJob, erase, listErasures: list, getErasure: get }
