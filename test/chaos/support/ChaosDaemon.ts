/**
 * One daemon as a simulated process: the production tree over the shared stores, behind doors. A crash is a kill -9: its fibers never run
 * again, its connection to the broker dies, its clients and agents lose theirs, and what it wrote stays.
 */
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { NodeSupervisor } from "../../../src/actors/node/NodeSupervisor.ts"
import { Registry } from "../../../src/kernel/Registry.ts"
import { JobFeeds } from "../../../src/actors/job/JobFeed.ts"
import { Archive } from "../../../src/layers/Archive.ts"
import { Catalog } from "../../../src/layers/Catalog.ts"
import { DaemonConfig } from "../../../src/layers/DaemonConfig.ts"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { Incidents } from "../../../src/layers/Incidents.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobStore, JobSurvey } from "../../../src/layers/JobStore.ts"
import { Leases } from "../../../src/layers/Leases.ts"
import { LiveNodes } from "../../../src/layers/LiveNodes.ts"
import { Logs } from "../../../src/layers/Logs.ts"
import { MemoryBroker } from "../../../src/layers/memory/MemoryBroker.ts"
import * as MemoryLeases from "../../../src/layers/memory/MemoryLeases.ts"
import { MemoryLive } from "../../../src/layers/memory/MemoryLive.ts"
import * as MemoryLiveNodes from "../../../src/layers/memory/MemoryLiveNodes.ts"
import type * as MemoryRecords from "../../../src/layers/memory/MemoryRecords.ts"
import * as MemoryRecordsLayers from "../../../src/layers/memory/MemoryRecordsLayers.ts"
import * as MemoryRelay from "../../../src/layers/memory/MemoryRelay.ts"
import * as MemoryWebhookSender from "../../../src/layers/memory/MemoryWebhookSender.ts"
import type * as MemoryState from "../../../src/layers/memory/MemoryState.ts"
import * as MemoryStateLayers from "../../../src/layers/memory/MemoryStateLayers.ts"
import * as MemoryStateRows from "../../../src/layers/memory/MemoryStateRows.ts"
import * as MemoryTransport from "../../../src/layers/memory/MemoryTransport.ts"
import { Namespaces } from "../../../src/layers/Namespaces.ts"
import { NodeRegistry } from "../../../src/layers/NodeRegistry.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import { Relay } from "../../../src/layers/Relay.ts"
import { RecordRetention } from "../../../src/layers/RecordRetention.ts"
import { SweeperStates } from "../../../src/layers/SweeperStates.ts"
import { Traces } from "../../../src/layers/Traces.ts"
import { testKey } from "../../support/networkKey.ts"
import * as NetworkKey from "../../../src/layers/NetworkKey.ts"
import { Transport } from "../../../src/layers/Transport.ts"
import * as Orchestrator from "../../../src/Orchestrator.ts"
import { DaemonId, type JobId } from "../../../src/schemas/Ids.ts"
import type { ChaosAgent } from "./ChaosAgent.ts"
import { disturbed, type SocketHouse } from "./ChaosSocket.ts"
import { guardAll, type DoorHouse } from "./Door.ts"
import type { Process } from "./Sim.ts"

/** Whose doors are kept. Settings are a copy in memory and never fail. */
const CONTRACTS: Readonly<Record<string, Context.Key<never, object>>> = {
  JobStore,
  JobSurvey,
  Outbox,
  Namespaces,
  NodeRegistry,
  Catalog,
  Daemons,
  SweeperStates,
  JobRecords,
  Traces,
  Logs,
  RecordRetention,
  Incidents,
  Archive,
  LiveNodes,
  Leases,
  Relay,
  Transport
} as never

export interface Shared {
  readonly state: MemoryState.State
  readonly records: MemoryRecords.State
  readonly live: MemoryLive["Service"]
  readonly broker: MemoryBroker["Service"]
  readonly relay: MemoryRelay.Hub
}

/** The raw back ends of one daemon, before any door; a planted bug is put in here. */
export const storesOver = ({ state, records, live, broker, relay }: Shared, name: string) =>
  Layer.mergeAll(
    MemoryStateLayers.over(state),
    NetworkKey.of(testKey),
    MemoryRecordsLayers.over(records),
    MemoryRelay.over(relay),
    MemoryStateRows.layer,
    MemoryWebhookSender.layer,
    Layer.mergeAll(MemoryLiveNodes.layer, MemoryLeases.layer).pipe(Layer.provide(Layer.succeed(MemoryLive, live))),
    Layer.effect(Transport, MemoryTransport.make(name)).pipe(Layer.provide(Layer.succeed(MemoryBroker, broker)))
  )

export type Stores = Context.Context<Layer.Success<ReturnType<typeof storesOver>>>
export type Tree = Context.Context<Layer.Success<typeof Orchestrator.actors>>

const build = <A, E, R>(layer: Layer.Layer<A, E, R>, scope: Scope.Scope) =>
  Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), scope)

export interface DaemonHouse {
  readonly shared: Shared
  /** Where the harness itself lives. */
  readonly outside: Process
  readonly process: Process
  readonly door: DoorHouse
  readonly prefetch: number
  readonly plant: (stores: Stores) => Stores
  readonly plantTree: (tree: Tree) => Tree
  /** It is over, by whatever way. */
  readonly ended: (daemon: ChaosDaemon, how: "crashed" | "left" | "fenced") => void
}

export class ChaosDaemon {
  readonly id: string
  readonly process: Process
  /** Set when the tree is up. */
  context: Context.Context<never> | null = null
  isDraining = false
  private readonly house: DaemonHouse
  private readonly connections = Scope.makeUnsafe()
  private readonly acting = Scope.makeUnsafe()
  private readonly agents = new Set<ChaosAgent>()
  private readonly callers = new Set<() => void>()

  constructor(house: DaemonHouse, id: string) {
    this.house = house
    this.id = id
    this.process = house.process
    const { outside, shared, process } = house
    outside.fork(build(storesOver(shared, id), this.connections), Context.empty(), (exit) => {
      if (Exit.isFailure(exit)) throw new Error("the stores of a daemon did not come up")
      if (!process.dead) this.start(house.plant(exit.value))
    })
  }

  get isUp(): boolean {
    return this.context !== null && !this.process.dead && !this.isDraining
  }

  private start(stores: Stores): void {
    const { house, process, id } = this
    const config = Context.make(DaemonConfig, configOf(id, house.prefetch))
    const guarded = Context.merge(guardAll(house.door, stores as never, CONTRACTS), config)
    const built = build(Orchestrator.actors, this.acting)
    process.fork(built, guarded as never, (exit) => {
      // A start that fails is a process that exits.
      if (Exit.isFailure(exit)) return this.crash("fenced")
      const context = Context.merge(guarded, house.plantTree(exit.value)) as Context.Context<never>
      this.context = context
      process.fork(Effect.exit(Orchestrator.untilLost), context as never, () => this.crash("fenced"))
    })
  }

  /** Runs a call of a client as a listener does; it is lost with the daemon. */
  serve(effect: Effect.Effect<unknown, unknown>, told: (exit: Exit.Exit<unknown, unknown> | "lost") => void): void {
    if (!this.isUp || this.context === null) return told("lost")
    const lost = () => told("lost")
    this.callers.add(lost)
    this.process.fork(effect, this.context, (exit) => {
      this.callers.delete(lost)
      told(exit)
    })
  }

  connect(agent: ChaosAgent): void {
    if (!this.isUp || this.context === null) return
    this.agents.add(agent)
    const house: SocketHouse = {
      ...this.house.door,
      cut: () => agent.cut(100),
      sent: (frame) => this.house.door.wrote(`Frame.${frame._tag}`, [agent.nodeId, frame], null),
      heard: (frame) => this.house.door.wrote(`Frame.${frame._tag}`, [agent.nodeId, frame], null),
      hears: (frame) => agent.hears(frame)
    }
    const socket = disturbed(house, agent.open())
    const talk = Effect.flatMap(NodeSupervisor, (nodes) => nodes.serve(socket))
    this.process.fork(talk, this.context as never)
  }

  /** SIGTERM. */
  drain(): void {
    if (!this.isUp || this.context === null) return
    this.isDraining = true
    this.process.fork(Effect.exit(Orchestrator.drain), this.context as never, () => this.crash("left"))
  }

  crash(how: "crashed" | "left" | "fenced"): void {
    const { process, house } = this
    if (process.dead) return
    process.kill()
    house.outside.fork(Scope.close(this.connections, Exit.void), Context.empty())
    for (const agent of this.agents) agent.die()
    for (const lost of this.callers) lost()
    this.callers.clear()
    house.ended(this, how)
  }

  /** Actors' mailboxes and feeds, as they stand. */
  depths(): ReadonlyArray<{ readonly what: string; readonly depth: number; readonly max: number }> {
    if (this.context === null) return []
    const registry = Context.get(this.context as never, Registry) as Registry["Service"]
    const found: Array<{ what: string; depth: number; max: number }> = []
    const visit = (snapshots: Effect.Success<Registry["Service"]["tree"]>): void => {
      for (const { address, kind, mailboxDepth, children } of snapshots) {
        found.push({
          what: `mailbox of ${address}`,
          depth: mailboxDepth,
          max: MAILBOX_MAX[kind] ?? 100_000
        })
        visit(children)
      }
    }
    visit(Effect.runSync(registry.tree))
    return found
  }

  /** Jobs with an actor or a feed here. */
  busy(): ReadonlyArray<{ readonly jobId: JobId; readonly what: string }> {
    if (this.context === null) return []
    const registry = Context.get(this.context as never, Registry) as Registry["Service"]
    const feeds = Context.get(this.context as never, JobFeeds) as JobFeeds["Service"]
    const actors = Effect.runSync(registry.list).flatMap(({ address }) =>
      address.startsWith("job/") ? [{ jobId: address.slice("job/".length) as JobId, what: address }] : []
    )
    return [...actors, ...feeds.all().map(({ jobId }) => ({ jobId, what: `feed of ${jobId}` }))]
  }
}

/** As the supervisors set them, and what an actor sends to itself. */
const MAILBOX_MAX: Readonly<Record<string, number>> = { job: 1100, node: 4200 }

const configOf = (id: string, lanePrefetch: number): DaemonConfig["Service"] => ({
  daemonId: DaemonId.make(id),
  dataFolder: "",
  host: "127.0.0.1",
  port: 0,
  controlHost: "127.0.0.1",
  controlPort: 0,
  controlKey: null,
  trustedProxies: [],
  environment: "testnet",
  drainMs: 1000,
  lanePrefetch,
  silenceMaxMs: 10_000
})
