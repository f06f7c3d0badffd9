/**
 * Which nodes exist and which are held back. Restrictions live here, where they survive everything; `LiveNodes` has a
 * copy that may be lost at any time. Every restriction ever set stays as history.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { NodeId } from "../schemas/Ids.ts"
import type { Environment } from "../schemas/Job.ts"
import type { NodeLifecycle, NodeProfile, NodeRow, Restriction, RestrictionKind } from "../schemas/NodeProfile.ts"
import type { Refusal } from "../schemas/Refusal.ts"
import type { Outage } from "./Outage.ts"

export interface RestrictionChange {
  readonly nodeId: NodeId
  readonly kind: RestrictionKind
  readonly change: "set" | "lifted"
  readonly reason: string
  readonly by: string
  readonly until: number | null
  readonly at: number
}

export interface Registration {
  readonly nodeId: NodeId
  readonly environment: Environment
  readonly profile: NodeProfile
  readonly at: number
}

export interface Driver {
  /** The node with this profile and the restrictions that still hold at `at`. A known node keeps its life cycle and its first date; its generation grows. */
  readonly register: (registration: Registration) => Effect.Effect<NodeRow, Outage>
  readonly get: (nodeId: NodeId, now: number) => Effect.Effect<NodeRow | null, Outage>
  /** By id. */
  readonly list: (now: number) => Effect.Effect<ReadonlyArray<NodeRow>, Outage>
  readonly setLifecycle: (nodeId: NodeId, lifecycle: NodeLifecycle, at: number) => Effect.Effect<void, Outage>
  /** Sets or replaces the restriction of that kind. Refused with `not_found`. */
  readonly restrict: (nodeId: NodeId, restriction: Restriction) => Effect.Effect<NodeRow, Refusal | Outage>
  /** Refused with `not_found`; lifting what is not set changes nothing. */
  readonly lift: (
    nodeId: NodeId,
    kind: RestrictionKind,
    by: string,
    at: number
  ) => Effect.Effect<NodeRow, Refusal | Outage>
  readonly history: (nodeId: NodeId) => Effect.Effect<ReadonlyArray<RestrictionChange>, Outage>
}

export class NodeRegistry extends Context.Service<NodeRegistry, Driver>()("resultity/layers/NodeRegistry") {}

export const make = (driver: Driver): NodeRegistry["Service"] =>
  NodeRegistry.of({
    ...driver,
    register: Effect.fn("NodeRegistry.register")(driver.register),
    restrict: Effect.fn("NodeRegistry.restrict")(driver.restrict),
    lift: Effect.fn("NodeRegistry.lift")(driver.lift)
  })
