/** Values that the policies' tests share, each with sensible fields that a test may replace. */
import { Credits } from "../../src/schemas/Credits.ts"
import type { DaemonId, JobId, NamespaceId, NodeId, SessionId } from "../../src/schemas/Ids.ts"
import type { Quote } from "../../src/schemas/Job.ts"
import type { NodePresence } from "../../src/schemas/NodeProfile.ts"

export const nodeId = (number: number): NodeId => `0x${number.toString(16).padStart(40, "0")}` as NodeId
export const jobId = (number: number): JobId => `job_${number.toString().padStart(6, "0")}` as JobId
export const namespaceId = (name: string): NamespaceId => `ns_${name}` as NamespaceId

export const quote = (perPromptToken: bigint, perOutputToken: bigint, perRequest: bigint): Quote => ({
  version: 1,
  perPromptToken: Credits.make(perPromptToken),
  perOutputToken: Credits.make(perOutputToken),
  perRequest: Credits.make(perRequest)
})

/** A node that every ordinary job may run on, seen at instant 1000. */
export const presence = (more: Partial<NodePresence> = {}): NodePresence => ({
  nodeId: nodeId(1),
  environment: "testnet",
  daemonId: "daemon_a" as DaemonId,
  generation: 1,
  sessionId: "session_a" as SessionId,
  lifecycle: "active",
  restrictions: [],
  healthy: true,
  region: "eu",
  subclouds: ["lab"],
  isolated: false,
  gpus: [{ name: "NVIDIA GeForce RTX 4090", vramMiB: 24_564 }],
  slots: 4,
  leased: 1,
  models: [{ name: "llama", endpoints: ["chat", "completions"], canContinue: true, loaded: true }],
  track: { firstTokenMs: 400, tokensPerSecond: 30, successRate: 0.9 },
  digest: "config-1",
  lastSeenAt: 1_000,
  ...more
})
