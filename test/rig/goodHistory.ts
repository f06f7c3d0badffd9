/** A small run in which nothing went wrong: a completed stream, a cancelled job and a refusal. Tests spoil copies of it. */
import type { ClientLine, History, NodeLine, StoredEntry, StoredEvent, StoredJob, StoredRecord } from "./History.ts"
import { outputHash } from "./checkers/Answers.ts"
import { rigAnswer } from "./RigAnswer.ts"

type Mutable<A> = { -readonly [Key in keyof A]: A[Key] extends ReadonlyArray<infer Item> ? Array<Item> : A[Key] }

export interface Spoilable {
  readonly clients: Array<ClientLine>
  readonly nodes: Array<NodeLine>
  readonly state: {
    jobs: Array<Mutable<StoredJob>>
    events: Array<Mutable<StoredEvent>>
    entries: Array<Mutable<StoredEntry>>
    balances: Array<Mutable<History["state"]["balances"][number]>>
    keys: Array<{ namespaceId: string; key: string; jobId: string }>
    outbox: number
  }
  readonly records: Map<string, Mutable<StoredRecord>>
  readonly leaks: Array<string>
  readonly leftOver: Array<string>
}

export const CANARIES = new Map([
  ["ns_a", `cnry${"a".repeat(32)}`],
  ["ns_b", `cnry${"b".repeat(32)}`]
])

const quote = { perPromptToken: "1", perOutputToken: "3", perRequest: "0" }
export const bodyOf = (question: string) => ({
  model: "sim-small",
  messages: [{ role: "user" as const, content: `${CANARIES.get("ns_a")} ${question}` }],
  max_tokens: 400
})

const jobOf = (id: string, more: Partial<StoredJob>): Mutable<StoredJob> => ({
  id,
  namespaceId: "ns_a",
  facts: { reserved: "1000", quote },
  state: "completed",
  owner: null,
  epoch: 1,
  attempt: 1,
  reserved: 1000n,
  charged: 0n,
  promptTokens: 10,
  outputTokens: 0,
  errorCode: null,
  events: 3,
  ...more
})

const eventsOf = (jobId: string, end: "completed" | "cancelled"): Array<Mutable<StoredEvent>> => [
  { jobId, seq: 1, kind: "admitted", from: null, to: "queued", epoch: 0, attempt: 0 },
  { jobId, seq: 2, kind: "claimed", from: "queued", to: "active", epoch: 1, attempt: 1 },
  { jobId, seq: 3, kind: "finished", from: "active", to: end, epoch: 1, attempt: 1 }
]

const entriesOf = (jobId: string, charged: bigint): Array<Mutable<StoredEntry>> => [
  { namespaceId: "ns_a", kind: "reserve", amount: 1000n, jobId },
  { namespaceId: "ns_a", kind: "settle", amount: charged, jobId },
  { namespaceId: "ns_a", kind: "refund", amount: 1000n - charged, jobId }
]

/** One operation: question, yes, end. */
export const opOf = (op: string, jobId: string, body: ReturnType<typeof bodyOf>): Array<ClientLine> => {
  const { text, pieces, finish } = rigAnswer(body, 0)
  return [
    { at: 1, op, type: "invoke", client: 1, namespaceId: "ns_a", key: `key-${op}`, kind: "stream", body, bodyHash: "" },
    { at: 2, op, type: "accepted", daemon: "d0", jobId, tookMs: 1 },
    {
      at: 9,
      op,
      type: "ok",
      jobId,
      state: "completed",
      cause: null,
      texts: [text],
      finishes: [finish],
      whole: true,
      outputTokens: pieces.length,
      firstMs: 3,
      totalMs: 8
    }
  ]
}

export const goodHistory = (): Spoilable => {
  const body = bodyOf("first")
  const { text, pieces, finish } = rigAnswer(body, 0)
  const charged = 10n + 3n * BigInt(pieces.length)
  const recordOf = (jobId: string, more: Partial<StoredRecord>): Mutable<StoredRecord> => ({
    jobId: jobId as StoredRecord["jobId"],
    namespaceId: "ns_a" as StoredRecord["namespaceId"],
    state: "completed",
    completeness: "complete",
    truncatedReason: null,
    errorCode: null,
    cost: `0.${String(charged).padStart(6, "0")}`,
    outputSha256: outputHash([text], [finish]),
    outputTokens: pieces.length,
    ...more
  })
  const cancelled = bodyOf("second")
  return {
    clients: [
      ...opOf("op1", "job_1", body),
      {
        at: 3,
        op: "op2",
        type: "invoke",
        client: 2,
        namespaceId: "ns_a",
        key: "key-op2",
        kind: "cancel",
        body: cancelled,
        bodyHash: ""
      },
      { at: 4, op: "op2", type: "accepted", daemon: "d1", jobId: "job_2", tookMs: 1 },
      { at: 5, op: "op2", type: "cancelAsked", status: 200 },
      {
        at: 6,
        op: "op2",
        type: "ok",
        jobId: "job_2",
        state: "cancelled",
        cause: "client",
        texts: [],
        finishes: [],
        whole: false,
        outputTokens: 0,
        firstMs: null,
        totalMs: 3
      },
      {
        at: 5,
        op: "op3",
        type: "invoke",
        client: 3,
        namespaceId: "ns_b",
        key: "key-op3",
        kind: "sync",
        body: bodyOf("third"),
        bodyHash: ""
      },
      { at: 6, op: "op3", type: "fail", status: 402, code: "insufficient_credits" }
    ],
    nodes: [
      { at: 0, node: "n", type: "born", nodeId: "0x1", character: "swift", slots: 1 },
      { at: 2, node: "n", type: "began", jobId: "job_1", attempt: 1, epoch: 1, running: 1 },
      { at: 8, node: "n", type: "said", jobId: "job_1", attempt: 1, pieces: pieces.length, lied: false },
      { at: 8, node: "n", type: "result", jobId: "job_1", attempt: 1, epoch: 1, outputTokens: pieces.length },
      { at: 9, node: "n", type: "settled", jobId: "job_1", attempt: 1, status: "accepted" }
    ],
    state: {
      jobs: [
        jobOf("job_1", { charged, outputTokens: pieces.length }),
        jobOf("job_2", { state: "cancelled", promptTokens: 0 })
      ],
      events: [...eventsOf("job_1", "completed"), ...eventsOf("job_2", "cancelled")],
      entries: [
        { namespaceId: "ns_a", kind: "grant", amount: 5000n, jobId: null },
        ...entriesOf("job_1", charged),
        ...entriesOf("job_2", 0n)
      ],
      balances: [
        { namespaceId: "ns_a", granted: 5000n, available: 5000n - charged, reserved: 0n, spent: charged, openJobs: 0 }
      ],
      keys: [
        { namespaceId: "ns_a", key: "key-op1", jobId: "job_1" },
        { namespaceId: "ns_a", key: "key-op2", jobId: "job_2" }
      ],
      outbox: 0
    },
    records: new Map([
      ["job_1", recordOf("job_1", {})],
      [
        "job_2",
        recordOf("job_2", {
          state: "cancelled",
          completeness: "truncated",
          truncatedReason: "cancelled",
          cost: "0",
          outputSha256: null,
          outputTokens: null
        })
      ]
    ]),
    leaks: [],
    leftOver: []
  }
}

export const asHistory = (good: Spoilable): History => ({ ...good, faults: [], daemons: [], canaries: CANARIES })
