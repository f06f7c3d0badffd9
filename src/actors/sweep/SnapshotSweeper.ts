/**
 * Makes a snapshot whenever the last one is as old as the rules say; 0 makes none, and without cold storage there is none to make. It runs as long work of the daemon that leads, so an operator sees
 * how far it is and may cancel it: then the next one is due as if that one had been made. One that failed is tried again with the next pass.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Outage } from "../../layers/Outage.ts"
import type { Settings } from "../../layers/Settings.ts"
import type { Snapshots } from "../../snapshots/Snapshots.ts"
import type { LongWork } from "../LongWork.ts"
import type { Options } from "./Sweeper.ts"

export interface SnapshotHouse {
  readonly settings: Settings["Service"]
  readonly snapshots: Snapshots["Service"]
  readonly works: LongWork["Service"]
}

/** Since when the next one is waited for. */
const Watermark = Schema.Struct({ at: Schema.Finite })
const isWatermark = Schema.is(Watermark)

export const make = (house: SnapshotHouse): Options => ({
  name: "snapshot",
  everyMs: 60_000,
  batchMax: 2,
  sweepBatch: (stored, _max, dryRun) =>
    Effect.gen(function* () {
      const nothing = { taken: 0, watermark: stored }
      const { snapshotEveryMs: everyMs } = (yield* house.settings.current).settings
      if (everyMs === 0 || !house.snapshots.isThere) return { ...nothing, detail: { off: true } }
      const now = yield* Clock.currentTimeMillis
      const last = isWatermark(stored) ? stored.at : yield* newest(house)
      const dueMs = last === null ? 0 : Math.max(0, last + everyMs - now)
      if (dryRun || dueMs > 0) return { ...nothing, taken: dryRun && dueMs === 0 ? 1 : 0, detail: { dueMs } }
      const work = yield* carryOut(house, now)
      // Refused: somebody makes one by hand. It is looked at again with the next pass.
      if (work === null) return nothing
      return { taken: work.state === "done" ? 1 : 0, watermark: { at: now }, detail: { work: work.id } }
    })
})

/** What was made by hand counts, and so does what another installation of these rules made before. */
const newest = ({ snapshots }: SnapshotHouse): Effect.Effect<number | null, Outage> =>
  snapshots.list(1).pipe(
    Effect.map(([head]) => head?.at ?? null),
    // A head that cannot be read says nothing of when: better one too many.
    Effect.catchTag("BrokenSnapshot", () => Effect.succeed(null))
  )

const carryOut = Effect.fnUntraced(function* ({ snapshots, works }: SnapshotHouse, at: number) {
  const started = yield* works
    .start({
      kind: "snapshot.create",
      by: "sweeper/snapshot",
      unit: "rows",
      run: (report) => Effect.map(snapshots.create({ at, full: false }, report), (head) => ({ ...head }))
    })
    .pipe(Effect.catchTag("Refusal", () => Effect.succeed(null)))
  if (started === null) return null
  const over = yield* Effect.orDie(works.wait(started.id))
  if (over.state !== "failed") return over
  return yield* new Outage({ of: "Snapshots", during: "create", cause: over.error ?? "it failed" })
})
