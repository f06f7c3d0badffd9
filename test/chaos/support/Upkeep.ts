/**
 * After the work the upkeep: some of the finished jobs grow old, and retention lets go of them while daemons die, hang and lose their lead and the
 * archive fails or rots. What there was before is written down, so that nothing of it can go missing unseen.
 */
import { Context, Effect, Schema } from "effect"
import { SweepSupervisor } from "../../../src/actors/sweep/SweepSupervisor.ts"
import * as MemoryArchive from "../../../src/layers/memory/MemoryArchive.ts"
import type * as MemoryRecords from "../../../src/layers/memory/MemoryRecords.ts"
import { Outage } from "../../../src/layers/Outage.ts"
import { RecordRetention } from "../../../src/layers/RecordRetention.ts"
import { canonicalJson } from "../../../src/schemas/CanonicalJson.ts"
import { JobRecord, LogEntry } from "../../../src/schemas/JobRecord.ts"
import { TokenEvent } from "../../../src/schemas/TokenEvent.ts"
import type { Stores } from "./ChaosDaemon.ts"
import { onTimed } from "./Nemesis.ts"
import type { UpkeepPlan } from "./Plan.ts"
import type { Run } from "./Run.ts"

/** Past every retention there is. */
const OLD_MS = 400 * 86_400_000
/** Faults come within this span. */
const SPAN_MS = 4000
const SWEEP_EVERY_MS = 500
/** Within which a healthy cluster lets go of what is left. */
const HEALING_MS = 30_000

const Line = Schema.Struct({
  record: JobRecord,
  traces: Schema.Array(TokenEvent),
  logs: Schema.Array(LogEntry)
})
const encodeLine = Schema.encodeSync(Schema.toCodecJson(Line))

/** A receipt comes to a record late, and is then the only thing that does. */
export const withoutReceipt = (line: string): string => {
  const { record, ...rest } = JSON.parse(line) as { readonly record: { readonly receipt?: unknown } }
  const { receipt: _receipt, ...others } = record
  return canonicalJson({ ...rest, record: others } as never)
}

/** What an archive has to say of this job, but for its receipt. */
export const lineOf = (records: MemoryRecords.State, { record, mark }: MemoryRecords.StoredRecord): string => {
  const logs = records.logs
    .filter(({ number, entry }) => entry.jobId === record.jobId && (mark === null || number <= mark.logsSeen))
    .map(({ entry }) => entry)
    .toSorted((a, b) => a.at - b.at)
  const traces = records.traces.get(record.jobId)?.events ?? []
  return withoutReceipt(canonicalJson(encodeLine({ record, traces, logs }) as never))
}

export const keepUp = async (run: Run, plan: UpkeepPlan): Promise<void> => {
  const { records } = run.shared
  run.trace("upkeep")
  growOld(run, plan)
  for (const stored of records.records.values()) run.history.kept.set(stored.record.jobId, lineOf(records, stored))
  if (plan.rots) rotOnce(run)
  run.tears = plan.tears
  run.crossings.plan(plan.points)
  for (const fault of plan.timed) run.outside.after(fault.atMs, () => onTimed(run, fault))
  sweepOn(run, run.sim.now + SPAN_MS)
  await run.sim.run(SPAN_MS, () => false)
  run.heal()
  sweepOn(run, run.sim.now + HEALING_MS)
  await run.sim.run(HEALING_MS, () => !isDue(run))
  await run.sim.run(500, () => false)
}

/**
 * A prune of many documents is not one step in every store: it may die in the middle. Whoever comes next finds the rest marked and must not take it
 * for all there was.
 */
export const tearing = (stores: Stores, run: Run): Stores => {
  const retention = Context.get(stores, RecordRetention)
  const prune: typeof retention.prune = (segmentId) =>
    Effect.suspend(() => {
      const { tears } = run
      if (tears === null) return retention.prune(segmentId)
      const { records, traces } = run.shared.records
      const marked = [...records.values()].filter(({ mark }) => mark?.segmentId === segmentId)
      if (marked.length === 0) return retention.prune(segmentId)
      run.tears = null
      const torn = tears === "jobs" ? marked.slice(0, (marked.length + 1) >> 1) : marked
      for (const { record } of torn) {
        traces.delete(record.jobId)
        if (tears === "jobs") records.delete(record.jobId)
      }
      return new Outage({ of: "RecordRetention", during: "prune", cause: "died in the middle" })
    })
  return Context.add(stores, RecordRetention, { ...retention, prune })
}

const growOld = ({ history, shared }: Run, { old }: UpkeepPlan): void => {
  let at = 0
  for (const stored of shared.records.records.values()) {
    const { record } = stored
    at += 1
    if (record.finishedAt === null || at % old === 0) continue
    history.aged.add(record.jobId)
    stored.record = { ...record, finishedAt: record.finishedAt - OLD_MS }
  }
}

/** The first segment that is written rots on the disk before it is read back. */
const rotOnce = ({ shared }: Run): void => {
  const { blobs } = shared.records
  const put = blobs.set.bind(blobs)
  blobs.set = (name, bytes) => {
    put(name, bytes)
    if (name.endsWith(".gz")) {
      MemoryArchive.flipByte(shared.records, name, bytes.byteLength >> 1)
      blobs.set = put
    }
    return blobs
  }
}

/** An operator who asks for a pass again and again, of whichever daemon. */
const sweepOn = (run: Run, until: number): void => {
  if (!isDue(run)) return
  const daemon = run.someDaemon()
  if (daemon !== null) {
    const sweep = Effect.flatMap(SweepSupervisor, ({ sweep }) => Effect.exit(sweep("retention", false)))
    daemon.serve(sweep as never, () => {})
  }
  if (run.sim.now < until) run.outside.after(SWEEP_EVERY_MS, () => sweepOn(run, until))
}

const isDue = ({ history, shared, scene }: Run): boolean =>
  !scene.keepsForEver && [...history.aged].some((jobId) => shared.records.records.has(jobId))
