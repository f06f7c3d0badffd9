/**
 * Worlds in which one sweep never comes. What it would repair stays broken, and that is excused; everything else must hold all the same: nothing is
 * lost, doubled or shown twice because somebody did not come by to tidy up.
 */
import { Context, Effect } from "effect"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobSurvey } from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import { RecordRetention } from "../../../src/layers/RecordRetention.ts"
import type { Stores } from "./ChaosDaemon.ts"

/** `lost-rows` and `orphans` are the halves of `owner-reaper`. */
export const SWEEPS = [
  "lost-rows",
  "orphans",
  "owner-reaper",
  "expiry",
  "outbox-relay",
  "record-repair",
  "retention"
] as const
export type Sweep = (typeof SWEEPS)[number]

/** Without what would bring back a job that nobody carries any more: the mechanism itself. */
export const BARE: ReadonlyArray<Sweep> = ["lost-rows", "expiry"]

export const isSweep = (name: string): name is Sweep => SWEEPS.some((sweep) => sweep === name)

const nothing = () => Effect.succeed([])

const OFF: Readonly<Record<Sweep, (stores: Stores) => Stores>> = {
  "lost-rows": (stores) => Context.add(stores, JobSurvey, { ...Context.get(stores, JobSurvey), waiting: nothing }),
  orphans: (stores) => Context.add(stores, JobSurvey, { ...Context.get(stores, JobSurvey), orphans: nothing }),
  "owner-reaper": (stores) =>
    Context.add(OFF.orphans(OFF["lost-rows"](stores)), Daemons, {
      ...Context.get(stores, Daemons),
      bury: nothing
    }),
  expiry: (stores) => Context.add(stores, JobSurvey, { ...Context.get(stores, JobSurvey), due: nothing }),
  "outbox-relay": (stores) => Context.add(stores, Outbox, { ...Context.get(stores, Outbox), pending: nothing }),
  "record-repair": (stores) =>
    Context.add(stores, JobRecords, { ...Context.get(stores, JobRecords), unfinished: nothing }),
  retention: (stores) =>
    Context.add(stores, RecordRetention, {
      ...Context.get(stores, RecordRetention),
      expired: nothing
    })
}

export const without = (stores: Stores, sweeps: ReadonlyArray<Sweep>): Stores =>
  sweeps.reduce((rest, sweep) => OFF[sweep](rest), stores)

const has = (sweeps: ReadonlyArray<Sweep>, ...any: ReadonlyArray<Sweep>) => sweeps.some((sweep) => any.includes(sweep))

/** Nobody takes over what a dead daemon owned. */
export const leavesOrphans = (sweeps: ReadonlyArray<Sweep>) => has(sweeps, "orphans", "owner-reaper")
/** Nobody brings back what a broker forgot. */
export const leavesLost = (sweeps: ReadonlyArray<Sweep>) => has(sweeps, "lost-rows", "owner-reaper")
export const leavesUnsent = (sweeps: ReadonlyArray<Sweep>) => has(sweeps, "outbox-relay")
export const leavesRecordsOpen = (sweeps: ReadonlyArray<Sweep>) => has(sweeps, "record-repair")
export const keepsForEver = (sweeps: ReadonlyArray<Sweep>) => has(sweeps, "retention")
