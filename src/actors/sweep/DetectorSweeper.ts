/**
 * Looks at what happened lately and lets the detectors judge it: what they find wrong is an episode, opened once, sighted with each pass while it goes
 * on, closed when it is over. Everything that it looks at is bounded, and of a window with more in it the newest counts. What a pass did before it broke
 * off stands, and the next one does the rest.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import type { CreditLedger } from "../../layers/CreditLedger.ts"
import type { Incidents } from "../../layers/Incidents.ts"
import type { Scope } from "../../layers/JobRecords.ts"
import type { JobSurvey } from "../../layers/JobStore.ts"
import type { LiveNodes } from "../../layers/LiveNodes.ts"
import * as Metrics from "../../layers/Metrics.ts"
import type { NodeRegistry } from "../../layers/NodeRegistry.ts"
import type { Outage } from "../../layers/Outage.ts"
import type { Settings } from "../../layers/Settings.ts"
import type { EndedJob, Signals } from "../../layers/Signals.ts"
import * as Abuse from "../../policies/detect/Abuse.ts"
import * as ErrorSpike from "../../policies/detect/ErrorSpike.ts"
import * as LatencyRegression from "../../policies/detect/LatencyRegression.ts"
import * as LowBalance from "../../policies/detect/LowBalance.ts"
import * as LyingNodes from "../../policies/detect/LyingNodes.ts"
import * as Sla from "../../policies/detect/Sla.ts"
import * as Unavailable from "../../policies/detect/Unavailable.ts"
import { type Action, actionsOf, type Findings } from "../../policies/detect/Verdict.ts"
import type { DetectorRules, Restrict } from "../../schemas/DetectorRules.ts"
import { type JobId, NamespaceId, type NodeId } from "../../schemas/Ids.ts"
import type { Incident, Sighting } from "../../schemas/Incident.ts"
import { wantedModels } from "./WantedModels.ts"
import type { Options } from "./Sweeper.ts"

export interface DetectorHouse {
  readonly signals: Signals["Service"]
  readonly incidents: Incidents["Service"]
  readonly settings: Settings["Service"]
  readonly ledger: CreditLedger["Service"]
  readonly survey: JobSurvey["Service"]
  readonly live: LiveNodes["Service"]
  readonly nodes: NodeRegistry["Service"]
  /** Says to whoever has the node's session that its restrictions changed. */
  readonly told: (nodeId: NodeId) => void
}

export const EVERY_MS = 15_000
/** Finished jobs that one pass looks at, and how many at a time: a store in this process answers nobody else meanwhile. */
export const ENDED_MAX = 5_000
const PAGE = 500
const KEYS_MAX = 1_000
const MISMATCHES_MAX = 1_000
const ACCOUNTS_MAX = 100
const OPEN_MAX = 1_000
/** An episode of which nothing is heard for so many windows ends. */
const QUIET_WINDOWS = 6

export const BY = "sweeper/detector"
const scope: Scope = { _tag: "Operator", by: BY }

const Watermark = Schema.Struct({ baselines: LatencyRegression.Baselines })
const isWatermark = Schema.is(Watermark)

export const make = (house: DetectorHouse): Options => ({
  name: "detector",
  everyMs: EVERY_MS,
  batchMax: 10_000,
  sweepBatch: (stored, _max, dryRun) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const { settings } = yield* house.settings.current
      const rules = settings.detectors
      const open = yield* house.incidents.list(scope, { open: true, limit: OPEN_MAX })
      const baselines = isWatermark(stored) ? stored.baselines : {}
      const judged = yield* judge(house, rules, settings.aliases, open, baselines, now)
      const actions = judged.findings.flatMap((findings) =>
        actionsOf(findings, open, now, rules.windowMs * QUIET_WINDOWS)
      )
      const detail = countOf(actions)
      if (dryRun) return { taken: actions.length, watermark: stored, detail }
      for (const action of actions) yield* act(house, rules, action, now)
      return { taken: actions.length, watermark: { baselines: judged.baselines }, detail }
    })
})

const countOf = (actions: ReadonlyArray<Action>): Schema.JsonObject => {
  const detail: Record<string, number> = {}
  for (const action of actions) {
    const name = action._tag === "Sight" ? action.sighting.type : `${action.type} closed`
    detail[name] = (detail[name] ?? 0) + 1
  }
  return detail
}

const subjectsOf = (open: ReadonlyArray<Incident>, type: string): ReadonlyArray<string> =>
  open.filter((incident) => incident.type === type).map(({ subject }) => subject)

/** What all detectors say of what is there to see. */
const judge = Effect.fnUntraced(function* (
  house: DetectorHouse,
  rules: DetectorRules,
  aliases: Readonly<Record<string, string>>,
  open: ReadonlyArray<Incident>,
  baselines: LatencyRegression.Baselines,
  now: number
) {
  const from = now - rules.windowMs
  const isPromised = Object.keys(rules.sla.targets).length > 0
  const ended = yield* endedSince(house, isPromised ? now - Math.max(rules.windowMs, rules.sla.windowMs) : from, now)
  const recent = ended.filter(({ finishedAt }) => finishedAt >= from)
  const refused = yield* house.signals.refused(from, now + 1, KEYS_MAX)
  const mismatches = yield* Effect.forEach(LyingNodes.MISMATCHES, (type) =>
    house.incidents.list(scope, { type, from, limit: MISMATCHES_MAX })
  )
  const { wanted, served } = yield* wantedModels(house, scope, aliases, from, now - rules.unavailable.waitMs, now)
  const missing = subjectsOf(open, Unavailable.UNAVAILABLE).map((subject) => subject.slice("model/".length))
  const latency = LatencyRegression.judge(
    recent,
    rules,
    baselines,
    new Set(subjectsOf(open, LatencyRegression.LATENCY)),
    now
  )
  const promised = ended.filter(({ finishedAt }) => finishedAt >= now - rules.sla.windowMs)
  const findings: ReadonlyArray<Findings> = [
    Abuse.silent(subjectsOf(open, Abuse.ABUSE), Abuse.judge(refused, rules)),
    ErrorSpike.judge(recent, rules),
    latency.findings,
    LyingNodes.judge(recent, mismatches.flat(), rules),
    Unavailable.judge(wanted, served, missing),
    Sla.judge(promised, rules),
    LowBalance.judge(yield* accountsOf(house, recent, open), rules)
  ]
  return { findings, baselines: latency.baselines }
})

/** The newest, page by page. Of more jobs that ended within one millisecond than a page holds, some are left out. */
const endedSince = ({ signals }: DetectorHouse, from: number, now: number) =>
  Effect.gen(function* () {
    const found = new Map<JobId, EndedJob>()
    let to = now + 1
    while (found.size < ENDED_MAX) {
      const page = yield* signals.ended(from, to, PAGE)
      const before = found.size
      for (const job of page) found.set(job.jobId, job)
      const oldest = page.at(-1)
      if (oldest === undefined || page.length < PAGE) break
      // The oldest millisecond may have more: it is read again, unless all of it was here.
      to = found.size === before ? oldest.finishedAt : oldest.finishedAt + 1
      yield* Effect.yieldNow
    }
    return [...found.values()]
  })

/** Of those who had jobs lately, and those who were low before. */
const accountsOf = ({ ledger }: DetectorHouse, recent: ReadonlyArray<EndedJob>, open: ReadonlyArray<Incident>) => {
  const low = subjectsOf(open, LowBalance.LOW_BALANCE).map((subject) =>
    NamespaceId.make(subject.slice("namespace/".length))
  )
  const namespaces = [...new Set([...low, ...recent.map(({ namespaceId }) => namespaceId)])].slice(0, ACCOUNTS_MAX)
  return Effect.forEach(namespaces, (namespaceId) =>
    Effect.map(ledger.balance(namespaceId), (balance) => ({ namespaceId, balance }))
  )
}

const act = (house: DetectorHouse, rules: DetectorRules, action: Action, now: number): Effect.Effect<void, Outage> =>
  Effect.gen(function* () {
    if (action._tag === "Close") {
      const { type, subject, closedFor } = action
      const closed = yield* house.incidents.close(type, subject, now, closedFor)
      if (closed === null) return
      yield* Effect.logInfo("episode is over", { type, subject, closedFor })
      return yield* count(type, closedFor)
    }
    const { episode, type, subject, severity } = yield* house.incidents.sight(action.sighting)
    if (episode.sightings === 1) {
      yield* Effect.logWarning("episode opened", { type, subject, severity })
      yield* count(type, "opened")
    }
    yield* restrictFor(house, rules, action.sighting, now)
  })

const count = (type: string, change: string) =>
  Metric.update(Metric.withAttributes(Metrics.episodes, { type, change }), 1)

const restrictionBy = (rules: DetectorRules, { type, subject }: Sighting): Restrict => {
  if (type === LyingNodes.LYING) return rules.lying.restrict
  return type === Sla.SLA ? (Sla.targetOf(subject, rules.sla.targets)?.restrict ?? "none") : "none"
}

/** Set again when half of its time is over, so that it lasts as long as the episode and a while longer. */
const restrictFor = (house: DetectorHouse, rules: DetectorRules, sighting: Sighting, now: number) =>
  Effect.gen(function* () {
    const { nodeId, type } = sighting
    const kind = restrictionBy(rules, sighting)
    if (nodeId === null || kind === "none") return
    const known = (yield* house.nodes.get(nodeId, now))?.restrictions.find((each) => each.kind === kind)
    const isLasting = known !== undefined && (known.until === null || known.until - now > rules.restrictMs / 2)
    if (isLasting) return
    const restriction = { kind, reason: `detector: ${type}`, by: BY, since: now, until: now + rules.restrictMs }
    yield* house.nodes.restrict(nodeId, restriction)
    house.told(nodeId)
    yield* Effect.logWarning("node restricted", { nodeId, kind, type })
  }).pipe(
    // A node that no registry knows can be kept from nothing.
    Effect.catchTag("Refusal", ({ code }) => Effect.logWarning("node not restricted", { code }))
  )
