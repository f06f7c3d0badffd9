/**
 * Makes a snapshot whenever the last one is as old as the rules say, and lets the oldest go when there are more than the rules keep; 0 turns either off,
 * and without cold storage there are none. Both run as long work of the daemon that leads, so an operator sees how far it is and may cancel it: then the
 * next one is due as if that one had been made. What failed is tried again with the next pass.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Outage } from "../../layers/Outage.ts"
import type { Settings } from "../../layers/Settings.ts"
import type { Snapshots } from "../../snapshots/Snapshots.ts"
import type { LongWork, Order } from "../LongWork.ts"
import type { Options } from "./Sweeper.ts"

export interface SnapshotHouse {
  readonly settings: Settings["Service"]
  readonly snapshots: Snapshots["Service"]
  readonly works: LongWork["Service"]
}

type Report = Parameters<Order<never>["run"]>[0]

/** Since when the next one is waited for. */
const Watermark = Schema.Struct({ at: Schema.Finite })
const isWatermark = Schema.is(Watermark)

export const make = (house: SnapshotHouse): Options => ({
  name: "snapshot",
  everyMs: 60_000,
  // One may be made and others let go: less than a full batch.
  batchMax: 3,
  sweepBatch: (stored, _max, dryRun) =>
    Effect.gen(function* () {
      const { snapshotEveryMs: everyMs, snapshotsKept: keep } = (yield* house.settings.current).settings
      if (!house.snapshots.isThere || (everyMs === 0 && keep === 0)) {
        return { taken: 0, watermark: stored, detail: { off: true } }
      }
      const made =
        everyMs === 0 ? { taken: 0, watermark: stored, detail: {} } : yield* makeDue(house, everyMs, stored, dryRun)
      const tooMany = keep === 0 ? 0 : Math.max(0, (yield* house.snapshots.count) - keep)
      const isPruned =
        tooMany > 0 && (dryRun || (yield* carryOut(house, "snapshot.prune", prune(house, keep)))?.state === "done")
      return { ...made, taken: made.taken + (isPruned ? 1 : 0), detail: { ...made.detail, tooMany } }
    })
})

const makeDue = Effect.fnUntraced(function* (
  house: SnapshotHouse,
  everyMs: number,
  stored: Schema.Json,
  dryRun: boolean
) {
  const now = yield* Clock.currentTimeMillis
  const last = isWatermark(stored) ? stored.at : yield* newest(house)
  const dueMs = last === null ? 0 : Math.max(0, last + everyMs - now)
  const nothing = { taken: 0, watermark: stored, detail: { dueMs } }
  if (dryRun || dueMs > 0) return { ...nothing, taken: dryRun && dueMs === 0 ? 1 : 0 }
  const work = yield* carryOut(house, "snapshot.create", create(house, now))
  // Refused: somebody makes one by hand. It is looked at again with the next pass.
  if (work === null) return nothing
  return { taken: work.state === "done" ? 1 : 0, watermark: { at: now }, detail: { work: work.id } }
})

/** What was made by hand counts, and so does what another installation of these rules made before. */
const newest = ({ snapshots }: SnapshotHouse): Effect.Effect<number | null, Outage> =>
  snapshots.list(1).pipe(
    Effect.map(([head]) => head?.at ?? null),
    // A head that cannot be read says nothing of when: better one too many.
    Effect.catchTag("BrokenSnapshot", () => Effect.succeed(null))
  )

const create = ({ snapshots }: SnapshotHouse, at: number) => ({
  unit: "rows",
  run: (report: Report) => Effect.map(snapshots.create({ at, full: false }, report), (head) => ({ ...head }))
})

const prune = ({ snapshots }: SnapshotHouse, keep: number) => ({
  unit: "blobs",
  run: (report: Report) => Effect.map(snapshots.prune({ keep, dryRun: false }, report), (pruned) => ({ ...pruned }))
})

/** null: one of the kind is at work already. */
const carryOut = Effect.fnUntraced(function* <E extends { readonly message: string }>(
  { works }: SnapshotHouse,
  kind: string,
  order: Pick<Order<E>, "unit" | "run">
) {
  const started = yield* works
    .start({ ...order, kind, by: "sweeper/snapshot" })
    .pipe(Effect.catchTag("Refusal", () => Effect.succeed(null)))
  if (started === null) return null
  const over = yield* Effect.orDie(works.wait(started.id))
  if (over.state !== "failed") return over
  return yield* new Outage({ of: "Snapshots", during: kind, cause: over.error ?? "it failed" })
})
