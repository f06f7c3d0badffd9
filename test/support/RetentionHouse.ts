/**
 * The sweepers of retention and erasure over real stores, without daemons: a pass is a call. Every call of a contract may be the last one of its life
 * (`killAt`): the work is not done, or done and not told, and whoever comes next finds the stores as they are.
 */
import { Clock, Context, Effect, Layer, type Schema } from "effect"
import * as ErasureSweeper from "../../src/actors/sweep/ErasureSweeper.ts"
import * as JobRowSweeper from "../../src/actors/sweep/JobRowSweeper.ts"
import * as RetentionSweeper from "../../src/actors/sweep/RetentionSweeper.ts"
import type { Options } from "../../src/actors/sweep/Sweeper.ts"
import { Archive } from "../../src/layers/Archive.ts"
import * as ArchiveDoor from "../../src/layers/Archive.ts"
import { EntryRetention } from "../../src/layers/EntryRetention.ts"
import { Erasures } from "../../src/layers/Erasures.ts"
import { Incidents } from "../../src/layers/Incidents.ts"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import { JobRowRetention } from "../../src/layers/JobRowRetention.ts"
import { JobSearch } from "../../src/layers/JobSearch.ts"
import { JobStore } from "../../src/layers/JobStore.ts"
import { Logs } from "../../src/layers/Logs.ts"
import { Namespaces } from "../../src/layers/Namespaces.ts"
import { Outage } from "../../src/layers/Outage.ts"
import { RecordRetention } from "../../src/layers/RecordRetention.ts"
import { Settings } from "../../src/layers/Settings.ts"
import { NetworkKey } from "../../src/layers/NetworkKey.ts"
import { Traces } from "../../src/layers/Traces.ts"
import type { Namespace } from "../../src/schemas/Namespace.ts"
import type { RetentionSettings } from "../../src/schemas/Retention.ts"
import { aNamespace } from "./factories.ts"
import { aFinishedRecord, aLogEntry, DAY, pieces } from "./recordFactories.ts"

export type Stores =
  | Archive
  | EntryRetention
  | Erasures
  | Incidents
  | JobRecords
  | JobRowRetention
  | JobSearch
  | JobStore
  | Logs
  | Namespaces
  | RecordRetention
  | Settings
  | NetworkKey
  | Traces

/** What stands at the doors of one life. */
export interface Life {
  calls: number
  /** The call, counted from 1, with which it ends; 0: it lives. */
  killAt: number
  /** Whether that call does its work before. */
  after: boolean
}

export const living = (): Life => ({ calls: 0, killAt: 0, after: false })

const killed = new Outage({ of: "life", during: "a call", cause: "killed" })

const guard = <S extends object>(life: Life, service: S): S => {
  const passing = (call: Effect.Effect<unknown, unknown>) =>
    Effect.suspend(() => {
      life.calls += 1
      if (life.killAt === 0 || life.calls < life.killAt) return call
      // Once dead it stays dead.
      return life.calls === life.killAt && life.after ? Effect.andThen(call, Effect.fail(killed)) : Effect.fail(killed)
    })
  return Object.fromEntries(
    Object.entries(service).map(([name, value]: [string, unknown]) => [
      name,
      Effect.isEffect(value)
        ? passing(value as never)
        : typeof value === "function" && name !== "sign"
          ? (...args: ReadonlyArray<unknown>) => passing(Effect.suspend(() => value(...args) as never))
          : value
    ])
  ) as S
}

export const makeHouse = Effect.fnUntraced(function* (life: Life = living(), hasArchive = true) {
  const context = yield* Effect.context<Stores>()
  const of = <I, S extends object>(tag: Context.Key<I, S>): S =>
    guard(life, Context.get(context as Context.Context<I>, tag))
  const house = {
    namespaces: of(Namespaces),
    retention: of(RecordRetention),
    entries: of(EntryRetention),
    archive: hasArchive ? of(Archive) : ArchiveDoor.none,
    incidents: of(Incidents),
    settings: of(Settings),
    erasures: of(Erasures),
    records: of(JobRecords),
    search: of(JobSearch),
    store: of(JobStore),
    rows: of(JobRowRetention),
    key: of(NetworkKey),
    desk: { completed: Effect.succeed }
  }
  return {
    retention: RetentionSweeper.make(house),
    erasure: ErasureSweeper.make(house),
    jobRows: JobRowSweeper.make(house)
  }
})

/** Batches until one is short, as the sweeper's actor does it. */
export const pass = (sweeper: Options, batchMax = sweeper.batchMax) =>
  Effect.gen(function* () {
    let [swept, from] = [0, null as Schema.Json]
    while (true) {
      const { taken, watermark } = yield* sweeper.sweepBatch(from, batchMax, false)
      swept += taken
      from = watermark
      if (taken < batchMax) return swept
    }
  })

/** Passes until nothing is left to do. */
export const sweepAll = Effect.fnUntraced(function* (
  options: { readonly hasArchive?: boolean; readonly batchMax?: number } = {}
) {
  const { retention } = yield* makeHouse(living(), options.hasArchive)
  let swept = 0
  for (let passes = 0; passes < 50; passes++) {
    const taken = yield* pass(retention, options.batchMax)
    swept += taken
    if (taken === 0) return swept
  }
  return yield* Effect.die(new Error("retention does not come to an end"))
})

export const eraseAll = Effect.gen(function* () {
  const { erasure } = yield* makeHouse()
  for (let passes = 0; passes < 50; passes++) {
    yield* pass(erasure)
    if ((yield* (yield* Erasures).open(1)).length === 0) return
  }
})

export const theNamespace = (rules: Partial<Namespace["rules"]> = {}) =>
  Effect.gen(function* () {
    const fresh = aNamespace()
    return yield* (yield* Namespaces).create({ ...fresh, rules: { ...fresh.rules, ...rules } })
  })

/** A job that ended so many days ago, with pieces and an entry in the log. */
export const oldJob = Effect.fnUntraced(function* (
  { id: namespaceId }: Pick<Namespace, "id">,
  days: number,
  over: Parameters<typeof aFinishedRecord>[1] = {}
) {
  const now = yield* Clock.currentTimeMillis
  const record = aFinishedRecord(now - days * DAY, { namespaceId, createdAt: now - days * DAY - 5, ...over })
  yield* (yield* JobRecords).open(record)
  yield* (yield* Traces).append({ jobId: record.jobId, epoch: 1, attempt: 1, events: pieces(1, 3) })
  yield* (yield* Logs).append([aLogEntry(namespaceId, { jobId: record.jobId, at: record.finishedAt ?? 0 })])
  return record
})

export const changeRetention = Effect.fnUntraced(function* (change: Partial<RetentionSettings>) {
  const settings = yield* Settings
  const { settings: before } = yield* settings.current
  const at = yield* Clock.currentTimeMillis
  yield* settings.publish({
    settings: { ...before, retention: { ...before.retention, ...change } },
    by: "test",
    reason: "test",
    at
  })
})

interface Line {
  readonly record?: { readonly jobId: string; readonly namespaceId: string }
  readonly erased?: { readonly jobId: string; readonly namespaceId: string }
}

/** Every line of the namespace in the archive, with the class of its segment. Each segment was verified. */
export const archivedOf = Effect.fnUntraced(function* (namespaceId: string) {
  const archive = yield* Archive
  const found: Array<{ readonly dataClass: string; readonly text: string; readonly line: Line }> = []
  for (const manifest of yield* archive.list) {
    if (manifest.namespaceId !== namespaceId) continue
    yield* archive.verify(manifest.id)
    for (const text of yield* archive.lines(manifest.id)) {
      found.push({ dataClass: manifest.dataClass, text, line: JSON.parse(text) as Line })
    }
  }
  return found
})

/** Jobs of the namespace in segments of this class, sorted. */
export const jobsIn = (lines: Effect.Success<ReturnType<typeof archivedOf>>, dataClass: string) =>
  lines
    .filter((each) => each.dataClass === dataClass)
    .flatMap(({ line }) => line.record?.jobId ?? line.erased?.jobId ?? [])
    .toSorted()

export const provided = <A, E>(layer: Layer.Layer<Stores, unknown>, body: Effect.Effect<A, E, Stores>) =>
  Effect.provide(body, layer, { local: true })
