/**
 * Snapshots of the deciding store. What takes long is started here and looked at under `/control/works`; a restore is none of these, because no
 * daemon's store is empty.
 */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import { LongWork } from "../../../actors/LongWork.ts"
import type { Outage } from "../../../layers/Outage.ts"
import { type Refusal, refuse } from "../../../schemas/Refusal.ts"
import { SNAPSHOT_NUMBER_MAX } from "../../../schemas/Snapshot.ts"
import { type BrokenSnapshot } from "../../../snapshots/Blocks.ts"
import { nowhere, Snapshots } from "../../../snapshots/Snapshots.ts"
import type { Call } from "../../Call.ts"
import { audit, readOrder, readReason } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { readInt, readQuery } from "../../Query.ts"
import { open } from "../../Route.ts"

export const CreateSnapshotOrder = Schema.Struct({
  /** Writes every block again, also those that earlier snapshots have. */
  full: Schema.optionalKey(Schema.Boolean),
  /** Also the hash of each ended job's record. */
  records: Schema.optionalKey(Schema.Boolean)
})
const readCreate = readOrder(CreateSnapshotOrder)

export const PruneSnapshotsOrder = Schema.Struct({
  /** The newest so many stay. */
  keep: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: SNAPSHOT_NUMBER_MAX })),
  /** Only says what would go. */
  dryRun: Schema.optionalKey(Schema.Boolean)
})
const readPrune = readOrder(PruneSnapshotsOrder)

const LIST_DEFAULT = 100
const LIST_MAX = 1000
const CHANGES_DEFAULT = 100
const CHANGES_MAX = 10_000

const numberOf = (call: Call, param: string) =>
  readInt(param, call.params[param], { least: 1, most: SNAPSHOT_NUMBER_MAX, otherwise: 0 })

/** Something is not what its name says: told, because nothing may rest on it. */
const told = <A, R>(
  effect: Effect.Effect<A, BrokenSnapshot | Refusal | Outage, R>
): Effect.Effect<A, Refusal | Outage, R> =>
  Effect.catchTag(effect, "BrokenSnapshot", ({ message }) =>
    Effect.fail(refuse("conflict", `The snapshot is broken: ${message}.`))
  )

const listSnapshots = open(
  Effect.fnUntraced(function* (call: Call) {
    const query = yield* readQuery(call.query, ["limit"])
    const limit = yield* readInt("limit", query.limit, { least: 1, most: LIST_MAX, otherwise: LIST_DEFAULT })
    return plain({ data: yield* told((yield* Snapshots).list(limit)) })
  })
)

const createSnapshot = open(
  Effect.fnUntraced(function* (call: Call) {
    const order = yield* readCreate(call)
    const { full = false, records = false } = order.body
    const snapshots = yield* Snapshots
    if (!snapshots.isThere) return yield* nowhere
    const work = yield* (yield* LongWork).start({
      kind: "snapshot.create",
      by: order.by,
      unit: "rows",
      run: (report) => Effect.map(snapshots.create({ at: order.at, full, records }, report), (head) => ({ ...head }))
    })
    yield* audit(order, "snapshot.create", `work/${work.id}`, { full, records })
    return plain({ work }, 202)
  })
)

const pruneSnapshots = open(
  Effect.fnUntraced(function* (call: Call) {
    const order = yield* readPrune(call)
    const { keep, dryRun = false } = order.body
    const snapshots = yield* Snapshots
    if (!snapshots.isThere) return yield* nowhere
    const work = yield* (yield* LongWork).start({
      kind: "snapshot.prune",
      by: order.by,
      unit: "blobs",
      run: (report) => Effect.map(snapshots.prune({ keep, dryRun }, report), (pruned) => ({ ...pruned }))
    })
    yield* audit(order, "snapshot.prune", `work/${work.id}`, { keep, dryRun })
    return plain({ work }, 202)
  })
)

const getSnapshot = open(
  Effect.fnUntraced(function* (call: Call) {
    const number = yield* numberOf(call, "number")
    return plain({ snapshot: yield* told((yield* Snapshots).head(number)) })
  })
)

const verifySnapshot = open(
  Effect.fnUntraced(function* (call: Call) {
    const number = yield* numberOf(call, "number")
    const order = yield* readReason(call)
    const snapshots = yield* Snapshots
    yield* told(snapshots.head(number))
    const work = yield* (yield* LongWork).start({
      kind: "snapshot.verify",
      by: order.by,
      unit: "rows",
      run: (report) =>
        Effect.map(snapshots.verify(number, report), (check) => ({
          ...check,
          faults: check.faults.map((one) => ({ ...one }))
        }))
    })
    yield* audit(order, "snapshot.verify", `snapshot/${number}`)
    return plain({ work }, 202)
  })
)

const diffSnapshots = open(
  Effect.fnUntraced(function* (call: Call) {
    const [from, to] = [yield* numberOf(call, "number"), yield* numberOf(call, "to")]
    const query = yield* readQuery(call.query, ["limit"])
    const limit = yield* readInt("limit", query.limit, { least: 0, most: CHANGES_MAX, otherwise: CHANGES_DEFAULT })
    return plain(yield* told((yield* Snapshots).diff(from, to, limit)))
  })
)

/** As one file; what breaks in the middle cuts the connection, so half a file is never taken for a whole one. */
const exportSnapshot = open(
  Effect.fnUntraced(function* (call: Call) {
    const number = yield* numberOf(call, "number")
    const bytes = yield* told((yield* Snapshots).car(number))
    return HttpServerResponse.stream(bytes, { contentType: "application/vnd.ipld.car" })
  })
)

export const snapshotRoutes = {
  listSnapshots,
  createSnapshot,
  pruneSnapshots,
  getSnapshot,
  verifySnapshot,
  diffSnapshots,
  exportSnapshot
}
