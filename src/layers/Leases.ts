/**
 * Slots of nodes, promised to attempts for a while. Taking one is atomic, so two dispatchers never take the same slot; a lease that is not
 * released runs out. The node itself has the last word on its slots: a lease may still be declined.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { JobId, LeaseToken, NodeId, SessionId } from "../schemas/Ids.ts"
import type { Environment } from "../schemas/Job.ts"
import type { NodePresence } from "../schemas/NodeProfile.ts"
import type { Outage } from "./Outage.ts"
import type * as Scope from "effect/Scope"
import { traced } from "./Traced.ts"

export interface CandidateQuery {
  readonly environment: Environment
  readonly model: string
  /** At most this many are returned: nodes serving the model that have a free slot, drawn fairly. */
  readonly sampleMax: number
  /** Not these. */
  readonly except: ReadonlySet<NodeId>
  readonly now: number
}

export interface Candidates {
  readonly nodes: ReadonlyArray<NodePresence>
  /** Nodes with a free slot that serve the model, sampled or not. */
  readonly free: number
  /** Nodes that serve the model. */
  readonly serving: number
}

export interface Lease {
  readonly token: LeaseToken
  readonly nodeId: NodeId
  readonly jobId: JobId
  readonly expiresAt: number
}

/** A lease as somebody saw it. Whoever takes or renews it moves its end, so the two together tell whether it is still the same. */
export interface SeenLease {
  readonly token: LeaseToken
  readonly expiresAt: number
}

export interface StrangersQuery {
  readonly nodeId: NodeId
  readonly sessionId: SessionId
  /** Not these: the asker knows what they are for. */
  readonly known: ReadonlySet<LeaseToken>
  readonly max: number
  readonly now: number
}

export interface Driver {
  /** Its cost grows with `sampleMax`, not with the fleet. */
  readonly candidates: (query: CandidateQuery) => Effect.Effect<Candidates, Outage>
  /** True: the slot is this job's until released or `expiresAt`. False: no free slot, or the node is gone. The same token twice: true, and its end moves. */
  readonly take: (lease: Lease, now: number) => Effect.Effect<boolean, Outage>
  /** Moves the end of a lease; false when it ran out or was never there. */
  readonly renew: (lease: Lease, now: number) => Effect.Effect<boolean, Outage>
  /** Afterwards the slot is free. Unknown tokens change nothing. */
  readonly release: (nodeId: NodeId, token: LeaseToken) => Effect.Effect<void, Outage>
  /** Leases of a node that the asker does not know, those that end first before others. None when its session is not the announced one. */
  readonly strangers: (query: StrangersQuery) => Effect.Effect<ReadonlyArray<SeenLease>, Outage>
  /**
   * Afterwards the slots of those that are as they were seen are free, all in one step; one that was taken or renewed since stays. How many. None
   * when the session is not the announced one: whoever serves the node now knows better.
   */
  readonly releaseUnchanged: (
    nodeId: NodeId,
    sessionId: SessionId,
    seen: ReadonlyArray<SeenLease>
  ) => Effect.Effect<number, Outage>
  /**
   * Wakes when a slot may have become free, naming the models it can serve: after a release, an expiry, an announcement or a lifted
   * restriction. Wake-ups that were not taken are merged, never queued without bound.
   */
  readonly capacity: Effect.Effect<{ readonly take: Effect.Effect<ReadonlySet<string>, Outage> }, Outage, Scope.Scope>
}

export class Leases extends Context.Service<Leases, Driver>()("resultity/layers/Leases") {}

export const make = (driver: Driver): Leases["Service"] =>
  Leases.of({
    ...driver,
    candidates: traced("Leases.candidates", driver.candidates),
    take: traced("Leases.take", driver.take)
  })
