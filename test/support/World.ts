/**
 * The whole world in memory: shared stores, a broker, any number of daemons over them that start, drain and crash, and scripted agents.
 *
 * Time passes only where a test says so (`pass`, `until`), by the TestClock unless `advance` says otherwise. A crash leaves no last word: the
 * daemon is cut off from every store first, then its connections break, then its fibers end.
 */
import { Clock, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Heart } from "../../src/actors/Heart.ts"
import { Admission, type JobRequest } from "../../src/actors/job/Admission.ts"
import * as JobIntake from "../../src/actors/job/JobIntake.ts"
import { JobStreams } from "../../src/actors/job/JobStreams.ts"
import { JobSupervisor } from "../../src/actors/job/JobSupervisor.ts"
import { NodeSupervisor } from "../../src/actors/node/NodeSupervisor.ts"
import { Root } from "../../src/actors/Root.ts"
import { Archive } from "../../src/layers/Archive.ts"
import { Catalog } from "../../src/layers/Catalog.ts"
import { DaemonConfig } from "../../src/layers/DaemonConfig.ts"
import { Daemons } from "../../src/layers/Daemons.ts"
import { Erasures } from "../../src/layers/Erasures.ts"
import { EntryRetention } from "../../src/layers/EntryRetention.ts"
import { Incidents } from "../../src/layers/Incidents.ts"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import { JobStore, JobSurvey } from "../../src/layers/JobStore.ts"
import { Leases } from "../../src/layers/Leases.ts"
import { LiveNodes } from "../../src/layers/LiveNodes.ts"
import { Logs } from "../../src/layers/Logs.ts"
import * as MemoryBroker from "../../src/layers/memory/MemoryBroker.ts"
import * as MemoryLeases from "../../src/layers/memory/MemoryLeases.ts"
import * as MemoryLive from "../../src/layers/memory/MemoryLive.ts"
import * as MemoryLiveNodes from "../../src/layers/memory/MemoryLiveNodes.ts"
import * as MemoryRecords from "../../src/layers/memory/MemoryRecords.ts"
import * as MemoryRecordsLayers from "../../src/layers/memory/MemoryRecordsLayers.ts"
import * as MemoryRelay from "../../src/layers/memory/MemoryRelay.ts"
import * as MemoryState from "../../src/layers/memory/MemoryState.ts"
import * as MemoryStateLayers from "../../src/layers/memory/MemoryStateLayers.ts"
import * as MemoryTransport from "../../src/layers/memory/MemoryTransport.ts"
import * as MemoryWebhookSender from "../../src/layers/memory/MemoryWebhookSender.ts"
import { NetworkKeys } from "../../src/layers/NetworkKeys.ts"
import { Receipts } from "../../src/layers/Receipts.ts"
import { Namespaces } from "../../src/layers/Namespaces.ts"
import { NodeRegistry } from "../../src/layers/NodeRegistry.ts"
import { Notices } from "../../src/layers/Notices.ts"
import { Outbox } from "../../src/layers/Outbox.ts"
import { RecordRetention } from "../../src/layers/RecordRetention.ts"
import { Relay } from "../../src/layers/Relay.ts"
import { Rollups } from "../../src/layers/Rollups.ts"
import { Settings } from "../../src/layers/Settings.ts"
import { SweeperStates } from "../../src/layers/SweeperStates.ts"
import { Traces } from "../../src/layers/Traces.ts"
import { daemonConfigOf } from "./daemonConfig.ts"
import { testNetworkKey } from "./networkKey.ts"
import { Transport } from "../../src/layers/Transport.ts"
import { Webhooks } from "../../src/layers/Webhooks.ts"
import type { JobId } from "../../src/schemas/Ids.ts"
import type { JobRow } from "../../src/schemas/JobState.ts"
import type { NodePresence } from "../../src/schemas/NodeProfile.ts"
import type { Caller, Namespace } from "../../src/schemas/Namespace.ts"
import type { RuntimeSettings } from "../../src/schemas/RuntimeSettings.ts"
import { aDaemonId, aKeyId, aRequest, fundedNamespace } from "./worldFactories.ts"
import { Faults } from "./Faults.ts"
import { MemoryAgent, type AgentOptions } from "./MemoryAgent.ts"
import { readAll, type Reading } from "./WorldReader.ts"
import { tree } from "./WorldTree.ts"

/** Whose doors `Faults` keeps. Settings are a copy in memory and never fail. */
const GUARDED: Readonly<Record<string, Context.Key<never, object>>> = {
  JobStore,
  JobSurvey,
  Outbox,
  Namespaces,
  NodeRegistry,
  Catalog,
  Daemons,
  SweeperStates,
  Receipts,
  NetworkKeys,
  JobRecords,
  Traces,
  Logs,
  RecordRetention,
  EntryRetention,
  Erasures,
  Incidents,
  Archive,
  LiveNodes,
  Leases,
  Relay,
  Transport,
  Webhooks,
  Notices,
  Rollups
} as never

type Stores = Layer.Success<ReturnType<typeof storesOver>>
type Acting = Layer.Success<typeof tree>

export interface WorldDaemon {
  readonly id: DaemonConfig["Service"]["daemonId"]
  readonly faults: Faults
  readonly context: Context.Context<Stores | Acting>
  /** Runs an effect with this daemon's services. */
  readonly use: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, Stores | Acting>>
  /** A new session of this agent with this daemon; returns at once. */
  readonly connect: (agent: MemoryAgent) => Effect.Effect<void>
  /** Drains, then ends. */
  readonly stop: Effect.Effect<void>
  /** Kill -9. */
  readonly crash: Effect.Effect<void>
}

export interface DaemonOptions {
  readonly lanePrefetch?: number
}

export interface WorldOptions {
  /** How time passes: the TestClock's, or a real sleep. */
  readonly advance?: (ms: number) => Effect.Effect<void>
  readonly settings?: Partial<RuntimeSettings>
  /** Daemons are a cluster unless this says that each new one buries the others, as in a data folder. */
  readonly soleOwner?: boolean
  readonly sender?: typeof MemoryWebhookSender.layer
}

/** Time passes as it does outside: for a test of the world itself. */
export const underTheRealClock: WorldOptions = { advance: (ms) => Effect.sleep(ms) }

const storesOver = (shared: Shared, name: string) =>
  Layer.mergeAll(
    MemoryStateLayers.over(shared.state),
    testNetworkKey,
    MemoryRecordsLayers.over(shared.records),
    Layer.mergeAll(MemoryLiveNodes.layer, MemoryLeases.layer).pipe(
      Layer.provide(Layer.succeed(MemoryLive.MemoryLive, shared.live))
    ),
    MemoryRelay.over(shared.relay),
    shared.sender,
    Layer.effect(Transport, MemoryTransport.make(name)).pipe(
      Layer.provide(Layer.succeed(MemoryBroker.MemoryBroker, shared.broker))
    )
  )

export interface Shared {
  readonly state: MemoryState.State
  readonly records: MemoryRecords.State
  readonly live: MemoryLive.MemoryLive["Service"]
  readonly broker: MemoryBroker.MemoryBroker["Service"]
  readonly relay: MemoryRelay.Hub
  /** Of notices: receivers in memory, unless a test brings the real one. */
  readonly sender: typeof MemoryWebhookSender.layer
}

/** Turns that everything gets to come to rest without time passing. */
const TURNS = 60
/** Steps of a long time are longer; what is due within one still happens in its order. */
const stepOf = (ms: number) => (ms > 60_000 ? 100 : 10)

export class World {
  readonly shared: Shared
  readonly scope: Scope.Scope
  private readonly advance: (ms: number) => Effect.Effect<void>
  private readonly settings: Partial<RuntimeSettings>
  constructor(shared: Shared, scope: Scope.Scope, options: WorldOptions) {
    this.shared = shared
    this.scope = scope
    this.advance = options.advance ?? TestClock.adjust
    this.settings = options.settings ?? {}
  }

  static readonly make = (options: WorldOptions = {}): Effect.Effect<World, never, Scope.Scope> =>
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      if (options.advance === undefined) yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      const shared = {
        state: MemoryState.make({ soleOwner: options.soleOwner ?? false }),
        records: MemoryRecords.make(),
        live: yield* MemoryLive.make(),
        broker: yield* MemoryBroker.make(),
        relay: MemoryRelay.make(),
        sender: options.sender ?? MemoryWebhookSender.layer
      }
      return new World(shared, scope, options)
    })

  readonly daemon = (options: DaemonOptions = {}): Effect.Effect<WorldDaemon> => startDaemon(this, options)

  /** An agent, connected and past its tests unless its test orders forbid that. */
  readonly agent = (daemon: WorldDaemon, options: AgentOptions = {}): Effect.Effect<MemoryAgent> =>
    Effect.gen({ self: this }, function* () {
      const agent = yield* MemoryAgent.make(options)
      yield* daemon.connect(agent)
      if (options.testOrders === undefined) yield* this.untilActive(agent)
      else yield* this.rest
      yield* Scope.provide(agent.beatOn, this.scope)
      return agent
    })

  readonly caller = (
    daemon: WorldDaemon,
    credits: bigint | number = 1_000_000,
    over: Partial<Namespace> = {}
  ): Effect.Effect<Caller> =>
    daemon.use(fundedNamespace(credits, over)).pipe(
      Effect.orDie,
      Effect.map((namespace): Caller => ({ namespace, keyId: aKeyId() }))
    )

  /** Admits a request; a refusal is a defect here. */
  readonly submit = (daemon: WorldDaemon, caller: Caller, over: Partial<JobRequest> = {}): Effect.Effect<JobRow> =>
    daemon.use(Effect.flatMap(Admission, (gate) => gate.admit(caller, aRequest(over)))).pipe(
      Effect.orDie,
      Effect.map(({ row }) => row)
    )

  readonly read = (daemon: WorldDaemon, jobId: JobId, afterSeq = 0): Effect.Effect<Reading> =>
    daemon.use(readAll(jobId, afterSeq)).pipe(Scope.provide(this.scope))

  readonly cancel = (daemon: WorldDaemon, jobId: JobId) =>
    daemon.use(
      Effect.flatMap(JobStreams, (streams) => streams.cancel({ _tag: "Operator", by: "test" }, jobId, "client"))
    )

  /** Dispatch may choose it. */
  readonly untilActive = (agent: MemoryAgent): Effect.Effect<void> =>
    this.until("the node is active", () => this.presence(agent)?.lifecycle === "active")

  /** The agent's node as dispatch sees it; null while it is not present. */
  presence(agent: MemoryAgent): NodePresence | null {
    const at = Effect.runSync(this.shared.live.step("test", "get", (state) => state))
    return at.list(0).find(({ nodeId }) => nodeId === agent.nodeId) ?? null
  }

  row(jobId: JobId): JobRow {
    const found = this.shared.state.jobs.get(jobId)
    if (found === undefined) throw new Error(`${jobId} is not there`)
    return found.row
  }

  record(jobId: JobId) {
    const found = this.shared.records.records.get(jobId)
    if (found === undefined) throw new Error(`${jobId} has no record`)
    return found.record
  }

  isOver(jobId: JobId): boolean {
    return this.row(jobId).finishedAt !== null
  }

  /** Everybody does what there is to do at this instant. */
  readonly rest: Effect.Effect<void> = Effect.gen(function* () {
    for (let turn = 0; turn < TURNS; turn++) yield* Effect.yieldNow
  })

  /** So much time goes by, in small steps. */
  readonly pass = (ms: number): Effect.Effect<void> =>
    Effect.gen({ self: this }, function* () {
      yield* this.rest
      const step = stepOf(ms)
      for (let gone = 0; gone < ms; gone += step) {
        yield* this.advance(Math.min(step, ms - gone))
        for (let turn = 0; turn < 8; turn++) yield* Effect.yieldNow
      }
      yield* this.rest
    })

  /** Lets time go by until this is so; a defect when it is not within so long. */
  readonly until = (what: string, holds: () => boolean, withinMs = 20_000): Effect.Effect<void> =>
    Effect.gen({ self: this }, function* () {
      const step = stepOf(withinMs)
      for (let gone = 0; gone <= withinMs; gone += step) {
        for (let turn = 0; turn < TURNS; turn++) {
          if (holds()) return
          yield* Effect.yieldNow
        }
        yield* this.advance(step)
      }
      return yield* Effect.die(new Error(`not within ${withinMs} ms: ${what}`))
    })

  readonly untilOver = (jobId: JobId, withinMs?: number): Effect.Effect<void> =>
    this.until(`${jobId} is over`, () => this.isOver(jobId), withinMs)

  readonly publishSettings = (daemon: WorldDaemon) =>
    daemon.use(
      Effect.gen({ self: this }, function* () {
        const settings = yield* Settings
        const { settings: before } = yield* settings.current
        const at = yield* Clock.currentTimeMillis
        yield* settings.publish({ settings: { ...before, ...this.settings }, by: "test", reason: "test", at })
      })
    )
}

const startDaemon = (world: World, { lanePrefetch = 16 }: DaemonOptions): Effect.Effect<WorldDaemon> =>
  Effect.gen(function* () {
    const id = aDaemonId()
    const faults = new Faults()
    const connections = yield* Scope.fork(world.scope)
    const acting = yield* Scope.fork(world.scope)
    const memo = yield* Layer.makeMemoMap
    const plain = yield* Layer.buildWithMemoMap(storesOver(world.shared, id), memo, connections)
    let stores: Context.Context<Stores> = plain
    for (const [contract, tag] of Object.entries(GUARDED)) {
      stores = Context.add(stores, tag, faults.guard(contract, Context.get(plain as never, tag))) as never
    }
    const config = Context.make(DaemonConfig, daemonConfigOf(id, lanePrefetch))
    const base = Layer.succeedContext(Context.merge(stores, config))
    const context = yield* Layer.buildWithMemoMap(Layer.provideMerge(tree, base), memo, acting)
    const use: WorldDaemon["use"] = (effect) => Effect.provide(effect, context) as never
    const agents = new Set<MemoryAgent>()
    const hangUp = Effect.sync(() => agents.forEach((agent) => agent.die()))
    const connect = (agent: MemoryAgent) =>
      Effect.gen(function* () {
        agents.add(agent)
        const socket = agent.open()
        const talk = Effect.flatMap(NodeSupervisor, (nodes) => nodes.serve(socket))
        yield* Effect.forkIn(Effect.provide(talk, context), acting)
      })
    const end = Effect.gen(function* () {
      yield* Scope.close(acting, Exit.void)
      yield* Scope.close(connections, Exit.void)
    })
    const daemon: WorldDaemon = {
      id,
      faults,
      context: context as never,
      use,
      connect,
      stop: Effect.gen(function* () {
        const jobs = yield* JobSupervisor
        yield* (yield* Root).stopChild(JobIntake.INTAKE)
        yield* jobs.handBackIdle
        yield* world.rest
        const draining = yield* Effect.forkIn(jobs.drain, world.scope)
        yield* world.until("drained", () => draining.pollUnsafe() !== undefined)
        yield* Fiber.join(draining)
        yield* (yield* Heart).leave
        yield* hangUp
        yield* end
      }).pipe(use),
      crash: Effect.gen(function* () {
        faults.cut = true
        yield* Scope.close(connections, Exit.void)
        yield* hangUp
        yield* Scope.close(acting, Exit.void)
      })
    }
    yield* world.publishSettings(daemon)
    yield* world.rest
    return daemon
  }).pipe(Effect.orDie)
