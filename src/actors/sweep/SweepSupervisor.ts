/** All sweepers of this daemon: one shape, one leader each, a watermark, a dry run and a manual trigger. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { ActorRef } from "../../kernel/ActorRef.ts"
import { Registry } from "../../kernel/Registry.ts"
import { Archive } from "../../layers/Archive.ts"
import { Audit } from "../../layers/Audit.ts"
import { DaemonConfig } from "../../layers/DaemonConfig.ts"
import { CreditLedger } from "../../layers/CreditLedger.ts"
import { Daemons } from "../../layers/Daemons.ts"
import { EntryRetention } from "../../layers/EntryRetention.ts"
import { Erasures } from "../../layers/Erasures.ts"
import { EvaluationSets } from "../../layers/EvaluationSets.ts"
import { Incidents } from "../../layers/Incidents.ts"
import { JobRecords } from "../../layers/JobRecords.ts"
import { JobRowRetention } from "../../layers/JobRowRetention.ts"
import { JobSearch } from "../../layers/JobSearch.ts"
import { JobSinks } from "../../layers/JobSinks.ts"
import { JobStore, JobSurvey } from "../../layers/JobStore.ts"
import { LiveNodes } from "../../layers/LiveNodes.ts"
import { Namespaces } from "../../layers/Namespaces.ts"
import { NodeRegistry } from "../../layers/NodeRegistry.ts"
import { NetworkKey } from "../../layers/NetworkKey.ts"
import { Notices } from "../../layers/Notices.ts"
import { Outbox } from "../../layers/Outbox.ts"
import { Outage } from "../../layers/Outage.ts"
import { Quality } from "../../layers/Quality.ts"
import { Receipts } from "../../layers/Receipts.ts"
import { RecordRetention } from "../../layers/RecordRetention.ts"
import { Rollups } from "../../layers/Rollups.ts"
import { Settings } from "../../layers/Settings.ts"
import { Signals } from "../../layers/Signals.ts"
import { SweeperStates, type SweeperState } from "../../layers/SweeperStates.ts"
import { Traces } from "../../layers/Traces.ts"
import { Transport } from "../../layers/Transport.ts"
import { Webhooks } from "../../layers/Webhooks.ts"
import { WebhookSender } from "../../layers/WebhookSender.ts"
import { nodeAddress, sweeperAddress } from "../../schemas/Address.ts"
import type { DaemonId, NodeId } from "../../schemas/Ids.ts"
import { refuse, type Refusal } from "../../schemas/Refusal.ts"
import { Snapshots } from "../../snapshots/Snapshots.ts"
import { Heart } from "../Heart.ts"
import { LongWork } from "../LongWork.ts"
import { Mail } from "../Mail.ts"
import { QualityReach } from "../QualityReach.ts"
import { ReceiptDesk } from "../ReceiptDesk.ts"
import { isOutage, Root } from "../Root.ts"
import * as BlindSweeper from "./BlindSweeper.ts"
import * as DetectorSweeper from "./DetectorSweeper.ts"
import * as ErasureSweeper from "./ErasureSweeper.ts"
import * as ExpirySweeper from "./ExpirySweeper.ts"
import * as JobRowSweeper from "./JobRowSweeper.ts"
import * as MerkleSweeper from "./MerkleSweeper.ts"
import * as NoticeLanes from "./NoticeLanes.ts"
import * as OutboxRelaySweeper from "./OutboxRelaySweeper.ts"
import * as OwnerReaper from "./OwnerReaper.ts"
import * as QualitySweeper from "./QualitySweeper.ts"
import * as RecordRepairSweeper from "./RecordRepairSweeper.ts"
import * as RetentionSweeper from "./RetentionSweeper.ts"
import * as SnapshotSweeper from "./SnapshotSweeper.ts"
import * as RollupSweeper from "./RollupSweeper.ts"
import * as SinkSweeper from "./SinkSweeper.ts"
import { spec, type Options, type SweepHouse, type SweeperMessage } from "./Sweeper.ts"
import type { Onlooker, SweepReport } from "./SweepReport.ts"
import type { TrialHouse } from "./TrialHouse.ts"
import * as WebhookSweeper from "./WebhookSweeper.ts"

export interface SweeperStatus extends SweeperState {
  readonly everyMs: number
  readonly leads: boolean
}

export class SweepSupervisor extends Context.Service<
  SweepSupervisor,
  {
    readonly list: Effect.Effect<ReadonlyArray<SweeperStatus>, Outage>
    /** One pass now, wherever its leader is. Refused: `not_found` (no such sweeper), `conflict` (one goes on already). */
    readonly sweep: (name: string, dryRun: boolean) => Effect.Effect<SweepReport, Refusal | Outage>
    /** The same as long as it takes; interrupted it ends with its batch. Where another daemon leads, no more is known than its end. */
    readonly sweepWatched: (name: string, told: Onlooker["told"]) => Effect.Effect<SweepReport, Refusal | Outage>
  }
>()("resultity/actors/sweep/SweepSupervisor") {
  static readonly layer = Layer.effect(
    SweepSupervisor,
    Effect.gen(function* () {
      const sweepers = yield* makeSweepers
      const states = yield* SweeperStates
      const registry = yield* Registry
      const house = { daemonId: (yield* DaemonConfig).daemonId, states, transport: yield* Transport }
      const supervisor = yield* (yield* Root).startSupervisor({
        address: "sweepers",
        strategy: "oneForOne",
        intensity: 20,
        period: "1 minute",
        backoff: { first: "200 millis", max: "10 seconds" },
        waitOut: isOutage
      })
      for (const options of sweepers) yield* Effect.orDie(supervisor.start(spec(house, options)))
      const actorOf = (name: string) => registry.find<SweeperMessage>(sweeperAddress(name))
      const mail = yield* Mail
      const here = (name: string, dryRun: boolean) => sweepWith(actorOf, name, dryRun, null)
      const where = (name: string) => leaderElsewhere(house, actorOf, name)
      yield* mail.on("Sweep", ({ sweeper, dryRun }) => Effect.map(here(sweeper, dryRun), (report) => ({ ...report })))
      return SweepSupervisor.of({
        list: listWith(sweepers, states, actorOf),
        sweep: Effect.fn("SweepSupervisor.sweep")((name, dryRun) =>
          Effect.flatMap(where(name), (leader) =>
            leader === null || dryRun ? here(name, dryRun) : sweepThere(mail, leader, name)
          )
        ),
        sweepWatched: Effect.fn("SweepSupervisor.sweepWatched")((name, told) =>
          Effect.flatMap(where(name), (leader) => {
            if (leader !== null) return sweepThere(mail, leader, name)
            const onlooker: Onlooker = { told, isGone: false }
            return Effect.onInterrupt(sweepWith(actorOf, name, false, onlooker), () =>
              Effect.sync(() => void (onlooker.isGone = true))
            )
          })
        )
      })
    })
  )
}

type Needed =
  | Archive
  | Audit
  | CreditLedger
  | DaemonConfig
  | Daemons
  | EntryRetention
  | Erasures
  | EvaluationSets
  | Heart
  | Incidents
  | JobRecords
  | JobRowRetention
  | JobSearch
  | JobStore
  | JobSurvey
  | LiveNodes
  | LongWork
  | Mail
  | Namespaces
  | NodeRegistry
  | NetworkKey
  | Notices
  | Outbox
  | Quality
  | QualityReach
  | ReceiptDesk
  | Receipts
  | RecordRetention
  | Rollups
  | Registry
  | Scope.Scope
  | Settings
  | Signals
  | Snapshots
  | Traces
  | Transport
  | Webhooks
  | WebhookSender

const makeSweepers: Effect.Effect<ReadonlyArray<Options>, never, Needed> = Effect.gen(function* () {
  const store = yield* JobStore
  const survey = yield* JobSurvey
  const records = yield* JobRecords
  const outbox = yield* Outbox
  const transport = yield* Transport
  const { daemonId, environment } = yield* DaemonConfig
  const { isSteady } = yield* Heart
  const retention = {
    namespaces: yield* Namespaces,
    retention: yield* RecordRetention,
    entries: yield* EntryRetention,
    archive: yield* Archive,
    incidents: yield* Incidents,
    settings: yield* Settings,
    desk: yield* ReceiptDesk
  }
  const trials = yield* trialHouse
  return [
    OutboxRelaySweeper.make(outbox, transport),
    ExpirySweeper.make({ store, survey, records }),
    OwnerReaper.make({ daemonId, isSteady, daemons: yield* Daemons, survey, outbox, transport }),
    RetentionSweeper.make(retention),
    JobRowSweeper.make({ ...retention, records, rows: yield* JobRowRetention }),
    RecordRepairSweeper.make({ records, store, traces: yield* Traces }),
    WebhookSweeper.make(yield* webhookHouse),
    SnapshotSweeper.make({ settings: yield* Settings, snapshots: yield* Snapshots, works: yield* LongWork }),
    RollupSweeper.make(yield* Rollups),
    DetectorSweeper.make(yield* detectorHouse),
    ErasureSweeper.make(yield* erasureHouse),
    MerkleSweeper.make({ desk: yield* ReceiptDesk, receipts: yield* Receipts, key: yield* NetworkKey, environment }),
    BlindSweeper.make(trials),
    QualitySweeper.make(trials),
    ...(yield* makeSinks)
  ]
})

const trialHouse = Effect.gen(function* () {
  return {
    audit: yield* Audit,
    sets: yield* EvaluationSets,
    incidents: yield* Incidents,
    records: yield* JobRecords,
    search: yield* JobSearch,
    store: yield* JobStore,
    live: yield* LiveNodes,
    namespaces: yield* Namespaces,
    nodes: yield* NodeRegistry,
    quality: yield* Quality,
    retention: yield* RecordRetention,
    settings: yield* Settings,
    reach: yield* QualityReach
  } satisfies TrialHouse
})

const makeSinks = Effect.gen(function* () {
  const search = yield* JobSearch
  return (yield* JobSinks).map((sink) => SinkSweeper.make(search, sink))
})

const erasureHouse = Effect.gen(function* () {
  return {
    erasures: yield* Erasures,
    records: yield* JobRecords,
    retention: yield* RecordRetention,
    archive: yield* Archive,
    key: yield* NetworkKey,
    search: yield* JobSearch,
    store: yield* JobStore,
    namespaces: yield* Namespaces
  }
})

const webhookHouse = Effect.gen(function* () {
  const notices = yield* Notices
  const lanes = yield* NoticeLanes.make({ notices, sender: yield* WebhookSender, key: yield* NetworkKey })
  return { webhooks: yield* Webhooks, notices, incidents: yield* Incidents, lanes }
})

const detectorHouse = Effect.gen(function* () {
  const [registry, mail] = [yield* Registry, yield* Mail]
  return {
    signals: yield* Signals,
    incidents: yield* Incidents,
    settings: yield* Settings,
    ledger: yield* CreditLedger,
    survey: yield* JobSurvey,
    live: yield* LiveNodes,
    nodes: yield* NodeRegistry,
    told: (nodeId: NodeId): void => {
      // The node may be connected to any daemon, this one too; a word that is lost is caught up with its next session.
      const here = registry.find<{ readonly _tag: "RestrictionsChanged" }>(nodeAddress(nodeId))
      if (here._tag === "Some") here.value.tellUnsafe({ _tag: "RestrictionsChanged" })
      mail.post({ _tag: "Topic", topic: "node" }, { _tag: "NodeRestricted", nodeId })
    }
  }
})

type Find = (name: string) => Option.Option<ActorRef<SweeperMessage>>

const ASK_MAX = "5 seconds"
const PASS_MAX = "10 minutes"
/** Whoever looks on sees that it goes on. */
const WATCHED_MAX = "1 day"

const nobody = (during: string) => new Outage({ of: "SweepSupervisor", during, cause: "the sweeper is restarting" })

const listWith = (sweepers: ReadonlyArray<Options>, states: SweeperStates["Service"], actorOf: Find) =>
  Effect.gen(function* () {
    const known = new Map((yield* states.list).map((state) => [state.name, state]))
    return yield* Effect.forEach(sweepers, ({ name, everyMs }) =>
      Effect.gen(function* () {
        const found = actorOf(name)
        const asked = found._tag === "None" ? Effect.succeed(false) : askLeads(found.value)
        return { ...fresh(name), ...known.get(name), everyMs, leads: yield* asked } satisfies SweeperStatus
      })
    )
  })

/** A sweeper that does not answer leads nothing that one could rely on. */
const askLeads = (ref: ActorRef<SweeperMessage>) =>
  Effect.catch(
    ref.ask<boolean>((reply) => ({ _tag: "AskLeads", reply }), ASK_MAX),
    () => Effect.succeed(false)
  )

const fresh = (name: string): SweeperState => ({
  name,
  leader: null,
  epoch: 0,
  watermark: null,
  sweptAt: null,
  swept: 0,
  lastError: null
})

/** Null: nobody else is known to lead it. */
const leaderElsewhere = ({ daemonId, states }: SweepHouse, actorOf: Find, name: string) =>
  Effect.gen(function* () {
    const found = actorOf(name)
    if (found._tag === "None" || (yield* askLeads(found.value))) return null
    const leader = (yield* states.list).find((state) => state.name === name)?.leader ?? null
    return leader === daemonId ? null : leader
  })

const sweepThere = (mail: Mail["Service"], leader: DaemonId, name: string) =>
  Effect.map(
    mail.call(leader, { _tag: "Sweep", sweeper: name, dryRun: false }),
    (report) => report as unknown as SweepReport
  )

const sweepWith = (
  actorOf: Find,
  name: string,
  dryRun: boolean,
  onlooker: Onlooker | null
): Effect.Effect<SweepReport, Refusal | Outage> => {
  const found = actorOf(name)
  if (found._tag === "None") return Effect.fail(refuse("not_found", `There is no sweeper ${name}.`, { param: "name" }))
  return found.value
    .ask<SweepReport, Refusal | Outage>(
      (reply) => ({ _tag: "Sweep", dryRun, onlooker, reply }),
      onlooker === null ? PASS_MAX : WATCHED_MAX
    )
    .pipe(Effect.catchTag(["MailboxFull", "ActorStopped", "AskTimedOut"], () => Effect.fail(nobody("sweep"))))
}
