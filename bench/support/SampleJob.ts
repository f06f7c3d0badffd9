/** One job like any other, for benches that call the stores themselves. */
import { Effect } from "effect"
import { Credits } from "../../src/schemas/Credits.ts"
import type { Envelope } from "../../src/schemas/Envelope.ts"
import { freshEnvelopeId, type JobId, KeyId, type NamespaceId, NodeId } from "../../src/schemas/Ids.ts"
import type { Job } from "../../src/schemas/Job.ts"

export const AT = 1_700_000_000_000

export const jobOf = (id: JobId, namespaceId: NamespaceId): Job => ({
  id,
  namespaceId,
  keyId: KeyId.make("key_bench"),
  environment: "testnet",
  endpoint: "chat",
  mode: "stream",
  model: "llama-3.1-8b-instruct",
  priority: "normal",
  constraints: {},
  onNodeLoss: "continue",
  outputTokensMax: 1024,
  promptTokensMax: 512,
  choices: 1,
  reserved: Credits.make(3_584n),
  quote: {
    version: 1,
    perPromptToken: Credits.make(1n),
    perOutputToken: Credits.make(3n),
    perRequest: Credits.make(0n)
  },
  failuresMax: 3,
  clientTag: null,
  configDigest: "0".repeat(64),
  traceparent: null,
  acceptedAt: AT,
  deadlineAt: AT + 180_000
})

export const envelope = (message: Envelope["message"]): Effect.Effect<Envelope> =>
  Effect.map(freshEnvelopeId, (id) => ({
    version: 1,
    id,
    message,
    replyTo: null,
    deadlineAt: null,
    attempt: 0,
    traceparent: null
  }))

export const nodeId = NodeId.make(`0x${"ab".repeat(20)}`)
