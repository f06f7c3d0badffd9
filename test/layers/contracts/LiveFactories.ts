/**
 * Nodes, leases and envelopes for the suites of what is live. Every name is fresh in every process, because a server may still
 * hold those of the last run; times lie an hour ahead, so that a server's own time to live never comes before the one tested.
 */
import { Clock, Effect } from "effect"
import { randomBytes } from "node:crypto"
import { ENVELOPE_VERSION, type Envelope } from "../../../src/schemas/Envelope.ts"
import { DaemonId, EnvelopeId, JobId, LeaseToken, NodeId, SessionId } from "../../../src/schemas/Ids.ts"
import type { Lane } from "../../../src/schemas/Job.ts"
import type { NodePresence, ServedModel } from "../../../src/schemas/NodeProfile.ts"
import type { Lease } from "../../../src/layers/Leases.ts"
import { LiveNodes } from "../../../src/layers/LiveNodes.ts"

const unique = () => randomBytes(10).toString("hex")

export const aModel = (): string => `model-${unique()}`
export const aNodeId = (): NodeId => NodeId.make(`0x${randomBytes(20).toString("hex")}`)
export const aSession = (): SessionId => SessionId.make(`session_${unique()}`)
export const aDaemon = (): DaemonId => DaemonId.make(`daemon_${unique()}`)
export const aToken = (): LeaseToken => LeaseToken.make(`lease_${unique()}`)
export const aName = (): string => `name-${unique()}`
export const aLane = (): Lane => ({ environment: "testnet", subcloud: "global", model: aModel(), priority: "normal" })

export const MINUTE = 60_000
export const HOUR = 60 * MINUTE

/** The time that the tests of a suite pass. */
export const inAnHour = Effect.map(Clock.currentTimeMillis, (now) => now + HOUR)

export const serves = (name: string, endpoints: ServedModel["endpoints"] = ["chat"]): ServedModel => ({
  name,
  endpoints,
  canContinue: true,
  loaded: true
})

export type Presence = Omit<NodePresence, "leased">

export const aNode = (model: string, over: Partial<Presence> = {}): Presence => ({
  nodeId: aNodeId(),
  environment: "testnet",
  daemonId: aDaemon(),
  generation: 1,
  sessionId: aSession(),
  lifecycle: "active",
  restrictions: [],
  healthy: true,
  region: null,
  subclouds: [],
  isolated: false,
  gpus: [],
  slots: 1,
  models: [serves(model)],
  track: { firstTokenMs: 100, tokensPerSecond: 50, successRate: 1 },
  digest: "digest",
  lastSeenAt: 0,
  ...over
})

export const aLease = (nodeId: NodeId, expiresAt: number, token: LeaseToken = aToken()): Lease => ({
  token,
  nodeId,
  jobId: JobId.make(`job_${unique()}`),
  expiresAt
})

export const anEnvelope = (attempt = 0): Envelope => ({
  version: ENVELOPE_VERSION,
  id: EnvelopeId.make(`msg_${unique()}`),
  message: { _tag: "Lead", sweeper: "test" },
  replyTo: null,
  deadlineAt: null,
  attempt,
  traceparent: null
})

/** The node, which is there until then. */
export const announced = Effect.fnUntraced(function* (node: Presence, expiresAt: number) {
  yield* (yield* LiveNodes).announce(node, expiresAt)
  return node
})
