/** The detector over SQLite in memory without the rest of a daemon: a test writes the past, says what time it is, and asks for passes. */
import { Clock, Effect, Layer } from "effect"
import type { Json } from "effect/Schema"
import { TestClock } from "effect/testing"
import * as DetectorSweeper from "../../../src/actors/sweep/DetectorSweeper.ts"
import * as Backends from "../../../src/Backends.ts"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { Incidents } from "../../../src/layers/Incidents.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobSurvey } from "../../../src/layers/JobStore.ts"
import { LiveNodes } from "../../../src/layers/LiveNodes.ts"
import { NodeRegistry } from "../../../src/layers/NodeRegistry.ts"
import { Outage } from "../../../src/layers/Outage.ts"
import { Settings } from "../../../src/layers/Settings.ts"
import { Signals } from "../../../src/layers/Signals.ts"
import { DetectorRules } from "../../../src/schemas/DetectorRules.ts"
import type { NodeId } from "../../../src/schemas/Ids.ts"
import type { Incident } from "../../../src/schemas/Incident.ts"
import type { JobRecord } from "../../../src/schemas/JobRecord.ts"
import * as Schema from "effect/Schema"
import { aFinishedRecord, anOutput, operator } from "../../support/recordFactories.ts"

export const START = Date.UTC(2026, 0, 1)

/** Of one job that ended just now. */
export interface Past {
  readonly nodeId?: NodeId
  readonly model?: string
  readonly state?: JobRecord["state"]
  readonly totalMs?: number
  readonly tokens?: number
  readonly over?: Partial<JobRecord>
}

const services = Effect.gen(function* () {
  return {
    signals: yield* Signals,
    incidents: yield* Incidents,
    settings: yield* Settings,
    ledger: yield* CreditLedger,
    survey: yield* JobSurvey,
    live: yield* LiveNodes,
    nodes: yield* NodeRegistry,
    records: yield* JobRecords
  }
})

/** A leader of the detector: its watermark is what the sweeper would save. */
const leader = (house: DetectorSweeper.DetectorHouse) => {
  let watermark: Json = null
  const { sweepBatch } = DetectorSweeper.make(house)
  return {
    pass: Effect.gen(function* () {
      const batch = yield* sweepBatch(watermark, 10_000, false)
      watermark = batch.watermark
      return batch.taken
    }),
    dryPass: Effect.map(sweepBatch(watermark, 10_000, true), ({ detail }) => detail),
    inherit: (from: Json) => void (watermark = from),
    watermark: () => watermark
  }
}

export const make = Effect.gen(function* () {
  yield* TestClock.setTime(START)
  const stores = yield* services
  const told: Array<NodeId> = []
  const house = { ...stores, told: (nodeId: NodeId) => void told.push(nodeId) }
  const ends = (
    count: number,
    { nodeId, model = "tiny", state = "completed", totalMs = 1000, tokens = 10, over }: Past
  ) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      for (let at = 0; at < count; at++) {
        const base = aFinishedRecord(now)
        const system = { ...base.system, queueMs: 0, firstTokenMs: totalMs / 10, totalMs }
        const input = { ...base.input, model }
        const routing = { ...base.routing, nodeId: nodeId ?? null }
        const output = anOutput(3, tokens)
        yield* stores.records.open({ ...base, state, input, routing, output, system, ...over })
      }
    })
  const open = stores.incidents.list(operator, { open: true, limit: 100 })
  return {
    ...stores,
    told,
    ends,
    leader: () => leader(house),
    /** A leader that dies when it has stored so many sightings and ends. */
    dying: (after: number) => {
      let left = after
      const counted = <A>(effect: Effect.Effect<A, Outage>) =>
        Effect.suspend(() =>
          left-- > 0 ? effect : Effect.fail(new Outage({ of: "Incidents", during: "sight", cause: "it died" }))
        )
      const { sight, close } = stores.incidents
      const incidents = Incidents.of({
        ...stores.incidents,
        sight: (sighting) => counted(sight(sighting)),
        close: (...end) => counted(close(...end))
      })
      return leader({ ...house, incidents })
    },
    open: Effect.map(open, (all) => all.map(({ type, subject }) => `${type} ${subject}`).toSorted()),
    episodes: (type: string) =>
      Effect.map(stores.incidents.list(operator, { type, limit: 100 }), (all): ReadonlyArray<Incident> =>
        all.filter(({ episode }) => episode !== undefined)
      ),
    later: (ms: number) => TestClock.adjust(ms),
    rules: (over: object) =>
      Effect.gen(function* () {
        const { settings } = yield* stores.settings.current
        const detectors = Schema.decodeUnknownSync(DetectorRules)(over)
        const changed = { ...settings, detectors }
        yield* stores.settings.publish({ settings: changed, by: "test", reason: "test", at: START })
      })
  }
})

export const overSqlite = <A, E, R>(
  body: Effect.Effect<A, E, R>
): Effect.Effect<A, unknown, Exclude<R, Layer.Success<typeof Backends.memory>>> =>
  Effect.provide(body, Backends.memory, { local: true })
