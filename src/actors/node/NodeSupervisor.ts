/**
 * All sessions of nodes in this daemon, each with its node's actor. The listener hands every new socket to `serve`; operators hold nodes
 * back and let them go here, so that the registry, the live copy, the actor and the audit agree.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type { ActorRef } from "../../kernel/ActorRef.ts"
import { Registry } from "../../kernel/Registry.ts"
import { Catalog } from "../../layers/Catalog.ts"
import { DaemonConfig } from "../../layers/DaemonConfig.ts"
import { Incidents } from "../../layers/Incidents.ts"
import { JobStore } from "../../layers/JobStore.ts"
import { Leases } from "../../layers/Leases.ts"
import { LiveNodes } from "../../layers/LiveNodes.ts"
import * as Metrics from "../../layers/Metrics.ts"
import { NodeRegistry } from "../../layers/NodeRegistry.ts"
import { waitOut, type Outage } from "../../layers/Outage.ts"
import { Settings } from "../../layers/Settings.ts"
import { Transport } from "../../layers/Transport.ts"
import { daemonAddress, nodeAddress } from "../../schemas/Address.ts"
import type { NodeId } from "../../schemas/Ids.ts"
import type { NodeRow, Restriction, RestrictionKind } from "../../schemas/NodeProfile.ts"
import { refuse, type Refusal } from "../../schemas/Refusal.ts"
import { Mail } from "../Mail.ts"
import { isOutage, Root } from "../Root.ts"
import { serve } from "./AgentSession.ts"
import type { AgentSocket } from "./AgentSocket.ts"
import { behavior } from "./NodeActor.ts"
import type { NodeHouse } from "./NodeActorState.ts"
import type { NodeMessage } from "./NodeMessages.ts"

export type { AgentSocket } from "./AgentSocket.ts"

/** Batches of frames and other messages that may wait for one node. */
const MAILBOX_MAX = 4096

export class NodeSupervisor extends Context.Service<
  NodeSupervisor,
  {
    /** Serves one agent from handshake to end; returns when the session is over, and never fails. */
    readonly serve: (socket: AgentSocket) => Effect.Effect<void>
    /** Refused with `not_found`. */
    readonly restrict: (nodeId: NodeId, restriction: Restriction) => Effect.Effect<NodeRow, Refusal | Outage>
    readonly lift: (nodeId: NodeId, kind: RestrictionKind, by: string) => Effect.Effect<NodeRow, Refusal | Outage>
    /** Finish what runs, take nothing new. Refused with `not_found` when the node has no session. */
    readonly drain: (nodeId: NodeId) => Effect.Effect<void, Refusal | Outage>
  }
>()("resultity/actors/node/NodeSupervisor") {
  static readonly layer = Layer.effect(
    NodeSupervisor,
    Effect.gen(function* () {
      const house = yield* makeHouse
      const { environment } = yield* DaemonConfig
      const actorOf = yield* makeActors(house)
      const sessionHouse = {
        daemonId: house.daemonId,
        environment,
        nodes: house.nodes,
        settings: house.settings,
        actorOf
      }
      const tell = (nodeId: NodeId, message: NodeMessage): boolean => {
        const found = house.registry.find<NodeMessage>(nodeAddress(nodeId))
        return found._tag === "Some" && found.value.tellUnsafe(message)
      }
      // The node may be connected to any daemon; the registry has the restriction already, so a lost word is caught up with the next session.
      const told = (row: NodeRow) =>
        Effect.sync(() => {
          tell(row.nodeId, { _tag: "RestrictionsChanged" })
          house.mail.post(NODE_TOPIC, { _tag: "NodeRestricted", nodeId: row.nodeId })
          return row
        })
      const drainHere = (nodeId: NodeId) => tell(nodeId, { _tag: "DrainAsked" })
      yield* house.mail.on("DrainNode", ({ nodeId }) =>
        Effect.suspend(() => (drainHere(nodeId) ? Effect.void : Effect.fail(notConnected())))
      )
      yield* Effect.forkScoped(waitOut(hearNews(house, yield* Transport, tell)))
      let sessions = 0
      const count = (change: number) =>
        Effect.suspend(() => Metric.update(Metrics.nodesConnected, (sessions += change)))
      return NodeSupervisor.of({
        serve: (socket) => Effect.andThen(count(1), serve(sessionHouse, socket)).pipe(Effect.ensuring(count(-1))),
        restrict: Effect.fn("NodeSupervisor.restrict")((nodeId, restriction) =>
          Effect.flatMap(house.nodes.restrict(nodeId, restriction), told)
        ),
        lift: Effect.fn("NodeSupervisor.lift")(function* (nodeId, kind, by) {
          return yield* told(yield* house.nodes.lift(nodeId, kind, by, yield* Clock.currentTimeMillis))
        }),
        drain: (nodeId) =>
          Effect.suspend(() => (drainHere(nodeId) ? Effect.void : Effect.asVoid(drainElsewhere(house, nodeId))))
      })
    })
  )
}

const NODE_TOPIC = { _tag: "Topic", topic: "node" } as const
const NEWS_MAX = 1000

const notConnected = () => refuse("not_found", "The node is not connected.", { param: "id" })

const drainElsewhere = ({ live, mail, daemonId }: NodeHouse, nodeId: NodeId) =>
  Effect.gen(function* () {
    const presence = yield* live.get(nodeId, yield* Clock.currentTimeMillis)
    if (presence === null || presence.daemonId === daemonId) return yield* notConnected()
    return yield* mail.call(presence.daemonId, { _tag: "DrainNode", nodeId })
  })

/** What happened to nodes on other daemons. */
const hearNews = (
  { daemonId }: NodeHouse,
  transport: Transport["Service"],
  tell: (nodeId: NodeId, message: NodeMessage) => boolean
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const consumer = yield* transport.consume(NODE_TOPIC, NEWS_MAX)
      while (true) {
        for (const { envelope, ack } of yield* consumer.take) {
          const { message, replyTo } = envelope
          if (message._tag === "NodeConnected" && message.by !== daemonId) {
            tell(message.nodeId, { _tag: "ConnectedElsewhere", generation: message.generation })
          }
          if (message._tag === "NodeRestricted" && replyTo !== daemonAddress(daemonId)) {
            tell(message.nodeId, { _tag: "RestrictionsChanged" })
          }
          yield* ack
        }
      }
    })
  )

const makeHouse: Effect.Effect<
  NodeHouse,
  never,
  DaemonConfig | Registry | NodeRegistry | LiveNodes | Leases | JobStore | Settings | Catalog | Incidents | Mail
> = Effect.gen(function* () {
  return {
    daemonId: (yield* DaemonConfig).daemonId,
    registry: yield* Registry,
    nodes: yield* NodeRegistry,
    live: yield* LiveNodes,
    leases: yield* Leases,
    store: yield* JobStore,
    settings: yield* Settings,
    catalog: yield* Catalog,
    incidents: yield* Incidents,
    mail: yield* Mail
  }
})

/** The actor of a node, started on its first session here. */
const makeActors = Effect.fnUntraced(function* (house: NodeHouse) {
  const root = yield* Root
  const nodes = yield* root.startSupervisor({
    address: "nodes",
    strategy: "oneForOne",
    intensity: 1000,
    period: "10 seconds",
    backoff: { first: "50 millis", max: "5 seconds" },
    waitOut: isOutage
  })
  const find = (row: NodeRow) => house.registry.find<NodeMessage>(nodeAddress(row.nodeId))
  return (row: NodeRow): Effect.Effect<ActorRef<NodeMessage>> =>
    Effect.suspend(() => {
      const found = find(row)
      if (found._tag === "Some") return Effect.succeed(found.value)
      return nodes
        .start({
          address: nodeAddress(row.nodeId),
          kind: "node",
          behavior: behavior(house, row),
          mailbox: { capacityMax: MAILBOX_MAX, whenFull: "refuse" },
          restart: "transient"
        })
        .pipe(
          Effect.catchTag("AlreadyStarted", () => Effect.suspend(() => Effect.fromOption(find(row)))),
          Effect.orDie
        )
    })
})
