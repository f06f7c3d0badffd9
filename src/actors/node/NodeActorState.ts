/** What a node's actor holds: its session, its attempts, its standing. The registry and the agent itself can give all of it again. */
import type { ActorContext } from "../../kernel/Actor.ts"
import type { Registry } from "../../kernel/Registry.ts"
import type { Catalog } from "../../layers/Catalog.ts"
import type { Incidents } from "../../layers/Incidents.ts"
import type { JobStore } from "../../layers/JobStore.ts"
import type { Leases, SeenLease } from "../../layers/Leases.ts"
import type { LiveNodes } from "../../layers/LiveNodes.ts"
import type { NodeRegistry } from "../../layers/NodeRegistry.ts"
import type { Settings } from "../../layers/Settings.ts"
import type { PiecesHash, VerifyResult } from "../../layers/Signatures.ts"
import type { NodeFaults } from "../../policies/Cooldown.ts"
import { jobAddress } from "../../schemas/Address.ts"
import { claimOf, type AgentFrame, type DaemonFrame } from "../../schemas/AgentFrame.ts"
import type { DaemonId, JobId, LeaseToken, NodeId } from "../../schemas/Ids.ts"
import type { Gpu, NodeLifecycle, NodeRow, NodeTrack, RestrictionKind, ServedModel } from "../../schemas/NodeProfile.ts"
import type { Mail } from "../Mail.ts"
import type { NodeMessage, NodeReport, NodeSession } from "./NodeMessages.ts"

/** What a node's actor works with. */
export interface NodeHouse {
  readonly daemonId: DaemonId
  readonly registry: Registry["Service"]
  readonly nodes: NodeRegistry["Service"]
  readonly live: LiveNodes["Service"]
  readonly leases: Leases["Service"]
  readonly store: JobStore["Service"]
  readonly settings: Settings["Service"]
  readonly catalog: Catalog["Service"]
  readonly incidents: Incidents["Service"]
  readonly mail: Mail["Service"]
}

export interface HeldAttempt {
  readonly attempt: number
  epoch: number
  readonly firstSeq: number
  /** Its result came: it uses no slot, and the agent keeps it until it is settled. */
  done: boolean
}

/** A lease of an attempt that was not claimed yet, since when it is known, and for how many heartbeats after. */
export interface OpenLease extends SeenLease {
  readonly since: number
  readonly beats: number
}

/** One test inference in flight. */
export interface ModelTest {
  readonly model: string
  readonly requestSha256: string
  readonly hash: PiecesHash
  lastSeq: number
  spoke: boolean
}

export interface NodeActorState {
  readonly house: NodeHouse
  readonly self: ActorContext<NodeMessage>
  readonly nodeId: NodeId
  row: NodeRow
  session: NodeSession | null
  verify: VerifyResult
  lifecycle: NodeLifecycle
  /** Attempts that a job's actor here follows. */
  readonly attempts: Map<JobId, HeldAttempt>
  /** Attempts that the agent still holds and nobody has asked for since it came back. */
  readonly held: Map<JobId, HeldAttempt>
  /** Attempts that jobs here wait for: the agent's word of what it holds says whether they go on. */
  readonly awaited: Map<JobId, number>
  /** The agent has said what it holds in this session. */
  saidHolding: boolean
  /** Leases of attempts that were not claimed yet at the last heartbeat. */
  openLeases: ReadonlyMap<LeaseToken, OpenLease>
  lookingAtLeases: boolean
  readonly tests: Map<JobId, ModelTest>
  readonly passed: Set<string>
  restrictions: ReadonlyArray<RestrictionKind>
  faults: NodeFaults
  track: NodeTrack
  healthy: boolean
  digest: string
  gpus: ReadonlyArray<Gpu>
  models: ReadonlyArray<ServedModel>
  lastFrameAt: number
}

/** Tells the job's actor, if it is here. */
export const report = (state: NodeActorState, jobId: JobId, message: NodeReport): boolean => {
  const found = state.house.registry.find<NodeReport>(jobAddress(jobId))
  return found._tag === "Some" && found.value.tellUnsafe(message)
}

export const sendFrame = (state: NodeActorState, frame: DaemonFrame): boolean => state.session?.send(frame) ?? false

export const slotsUsed = (state: NodeActorState): number => {
  let used = state.tests.size
  for (const { done } of state.attempts.values()) if (!done) used += 1
  for (const { done } of state.held.values()) if (!done) used += 1
  return used
}

/** By the key of this session. */
export const isSigned = ({ verify }: NodeActorState, result: Extract<AgentFrame, { _tag: "Result" }>): boolean =>
  verify(claimOf(result), result.signature)
