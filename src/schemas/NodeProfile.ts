/**
 * What a node is and how it is right now. Four independent axes (life cycle, link, load, restrictions): a
 * paused node may be online and busy, so no single "status" word could tell the truth.
 */
import * as Schema from "effect/Schema"
import { DaemonId, NodeId, SessionId } from "./Ids.ts"
import { Endpoint, Environment } from "./Job.ts"

export const NodeLifecycle = Schema.Literals(["registering", "testing", "active", "draining", "retired"])
export type NodeLifecycle = typeof NodeLifecycle.Type

export const RestrictionKind = Schema.Literals([
  "paused",
  "frozen",
  "shadow_banned",
  "cooldown",
  "quarantined",
  "maintenance"
])
export type RestrictionKind = typeof RestrictionKind.Type

/** Why a node gets no work. `until` null: until somebody lifts it. */
export const Restriction = Schema.Struct({
  kind: RestrictionKind,
  reason: Schema.String,
  by: Schema.String,
  since: Schema.Int,
  until: Schema.NullOr(Schema.Int)
})
export type Restriction = typeof Restriction.Type

export const Gpu = Schema.Struct({
  name: Schema.String.check(Schema.isMaxLength(128)),
  vramMiB: Schema.Natural,
  usedMiB: Schema.optionalKey(Schema.Natural),
  utilisation: Schema.optionalKey(Schema.Finite)
})
export type Gpu = typeof Gpu.Type

export const ServedModel = Schema.Struct({
  name: Schema.NonEmptyString.check(Schema.isMaxLength(256)),
  endpoints: Schema.Array(Endpoint),
  /** Can go on from a given beginning of its answer. */
  canContinue: Schema.Boolean,
  loaded: Schema.Boolean
})
export type ServedModel = typeof ServedModel.Type

/** What the agent says of its machine when it connects. */
export const NodeProfile = Schema.Struct({
  name: Schema.String.check(Schema.isMaxLength(64)),
  agentVersion: Schema.String.check(Schema.isMaxLength(64)),
  runtime: Schema.String.check(Schema.isMaxLength(64)),
  region: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(64))),
  subclouds: Schema.Array(Schema.String.check(Schema.isMaxLength(64))).check(Schema.isMaxLength(32)),
  gpus: Schema.Array(Gpu).check(Schema.isMaxLength(32)),
  slots: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1024 })),
  models: Schema.Array(ServedModel).check(Schema.isMaxLength(256))
})
export type NodeProfile = typeof NodeProfile.Type

/** A node in the deciding store. */
export interface NodeRow {
  readonly nodeId: NodeId
  readonly environment: Environment
  readonly profile: NodeProfile
  readonly lifecycle: NodeLifecycle
  /** Grows by one with each registration, so that of two sessions the later is known on every daemon. */
  readonly generation: number
  readonly registeredAt: number
  readonly lastSeenAt: number
  readonly restrictions: ReadonlyArray<Restriction>
}

/** How a node and model have done lately: exponentially weighted, so one bad minute fades. */
export interface NodeTrack {
  /** Milliseconds to the first token. */
  readonly firstTokenMs: number
  readonly tokensPerSecond: number
  /** 0 to 1. */
  readonly successRate: number
}

/** A live node as dispatch sees it: everything the choice needs, and nothing that must be looked up. */
export interface NodePresence {
  readonly nodeId: NodeId
  readonly environment: Environment
  readonly daemonId: DaemonId
  readonly sessionId: SessionId
  /** Of the registration that opened the session. */
  readonly generation: number
  readonly lifecycle: NodeLifecycle
  readonly restrictions: ReadonlyArray<RestrictionKind>
  readonly healthy: boolean
  readonly region: string | null
  readonly subclouds: ReadonlyArray<string>
  /** Its members take no job from the global pool. */
  readonly isolated: boolean
  readonly gpus: ReadonlyArray<Gpu>
  readonly slots: number
  /** Slots under lease. */
  readonly leased: number
  readonly models: ReadonlyArray<ServedModel>
  readonly track: NodeTrack
  readonly digest: string
  readonly lastSeenAt: number
}

/** Why a node was not eligible; the order of the list is the order in which reasons are told. */
export const Exclusion = Schema.Literals([
  "environment",
  "subcloud",
  "other_node",
  "restricted",
  "offline",
  "not_active",
  "unhealthy",
  "model",
  "endpoint",
  "gpu",
  "vram",
  "region",
  "digest",
  "no_continuation",
  "tried",
  "no_free_slot"
])
export type Exclusion = typeof Exclusion.Type

/** One dispatch decision, kept with the job so that it can be explained. */
export const Decision = Schema.Struct({
  at: Schema.Int,
  attempt: Schema.Int,
  chosen: Schema.NullOr(NodeId),
  candidates: Schema.Array(Schema.Struct({ nodeId: NodeId, score: Schema.Finite })),
  excluded: Schema.Record(Schema.String, Schema.Int),
  /** How many live nodes were looked at, of how many that serve the model. */
  looked: Schema.Int,
  serving: Schema.Int
})
export type Decision = typeof Decision.Type
