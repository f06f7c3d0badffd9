/**
 * Which nodes are here right now. Everything in it has a time to live and is announced again within a heartbeat, so all of it may be
 * lost at any time; what must not be lost (restrictions) is copied here from `NodeRegistry` with each announcement.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { NodeId, SessionId } from "../schemas/Ids.ts"
import type { Endpoint, Environment } from "../schemas/Job.ts"
import type { Gpu, NodePresence, NodeTrack, RestrictionKind, ServedModel } from "../schemas/NodeProfile.ts"
import type { Outage } from "./Outage.ts"
import { traced } from "./Traced.ts"

/** What a heartbeat or a finished attempt changes. */
export interface PresenceChange {
  readonly healthy?: boolean
  readonly lifecycle?: NodePresence["lifecycle"]
  readonly restrictions?: ReadonlyArray<RestrictionKind>
  readonly models?: ReadonlyArray<ServedModel>
  readonly gpus?: ReadonlyArray<Gpu>
  readonly track?: NodeTrack
  readonly digest?: string
  readonly seenAt: number
}

export interface LiveModel {
  readonly name: string
  readonly endpoints: ReadonlyArray<Endpoint>
  /** Active, healthy, unrestricted nodes that serve it. */
  readonly nodes: number
  readonly slots: number
  readonly leased: number
}

export interface Driver {
  /**
   * Afterwards the node is known under this session until `expiresAt`; leases of the node stay. False, and nothing changed, when a later session
   * (a higher generation, wherever it was opened) is known: this one is over.
   */
  readonly announce: (presence: Omit<NodePresence, "leased">, expiresAt: number) => Effect.Effect<boolean, Outage>
  /** False when this session is not the announced one (lost, expired or superseded): announce again, which tells which. */
  readonly refresh: (
    nodeId: NodeId,
    sessionId: SessionId,
    change: PresenceChange,
    expiresAt: number
  ) => Effect.Effect<boolean, Outage>
  /** The node is gone, if this session is still the announced one. Its leases stay until released or expired. */
  readonly withdraw: (nodeId: NodeId, sessionId: SessionId) => Effect.Effect<void, Outage>
  readonly get: (nodeId: NodeId, now: number) => Effect.Effect<NodePresence | null, Outage>
  /** All that are present, by id. For operators and explanations: its cost grows with the fleet. */
  readonly list: (now: number) => Effect.Effect<ReadonlyArray<NodePresence>, Outage>
  /** What the fleet serves, by name; cheap enough for every request. */
  readonly models: (environment: Environment, now: number) => Effect.Effect<ReadonlyArray<LiveModel>, Outage>
}

export class LiveNodes extends Context.Service<LiveNodes, Driver>()("resultity/layers/LiveNodes") {}

export const make = (driver: Driver): LiveNodes["Service"] =>
  LiveNodes.of({ ...driver, announce: traced("LiveNodes.announce", driver.announce) })
