/** Answers of a control listener as they are recorded from one. */
export const NODE = "0x1eceae0fd8fe46a42f85936e19ea4dcbd88dae74"
export const NS = "ns_01m88edteyvwvs0bke63fcbzcf"
export const KEY = "key_01m88edtezk8q2r0tjy59mjhj1"
export const JOB = "job_01m88edv52zrbmvhhrps9e5kzy"
export const SEGMENT = "seg_0123456789abcdef0123456789abcdef"
/** 2026-11-25T04:11:39.042Z */
export const AT = 1_795_579_899_042

export const summary = (jobId = JOB) => ({
  jobId,
  namespaceId: NS,
  keyId: KEY,
  endpoint: "chat",
  mode: "polling",
  model: "sim-small",
  priority: "normal",
  state: "completed",
  errorCode: null,
  nodeId: NODE,
  clientTag: null,
  createdAt: AT,
  finishedAt: AT + 1173,
  promptTokens: 9,
  outputTokens: 43,
  cost: "0.000138",
  totalMs: 1173
})

export const row = {
  job: {
    id: JOB,
    namespaceId: NS,
    keyId: KEY,
    environment: "testnet",
    endpoint: "chat",
    mode: "polling",
    model: "sim-small",
    priority: "normal",
    constraints: {},
    onNodeLoss: "continue",
    outputTokensMax: 300,
    promptTokensMax: 153,
    choices: 1,
    reserved: "0.001053",
    quote: { version: 1, perPromptToken: "0.000001", perOutputToken: "0.000003", perRequest: "0" },
    failuresMax: 3,
    clientTag: null,
    configDigest: "268f",
    traceparent: null,
    acceptedAt: AT,
    deadlineAt: AT + 3_600_000
  },
  state: "completed",
  owner: null,
  epoch: 1,
  attempt: 1,
  failures: 0,
  crashes: 0,
  nodeId: NODE,
  runAt: AT,
  usage: { promptTokens: 9, outputTokens: 43 },
  charged: "0.000138",
  errorCode: null,
  finishedAt: AT + 1173
}

export const shownJob = {
  row,
  events: [
    {
      jobId: JOB,
      seq: 1,
      kind: "admitted",
      from: null,
      to: "queued",
      epoch: 0,
      attempt: 0,
      daemonId: null,
      nodeId: null,
      code: null,
      at: AT
    },
    {
      jobId: JOB,
      seq: 2,
      kind: "finished",
      from: "active",
      to: "completed",
      epoch: 1,
      attempt: 1,
      daemonId: "daemon_1",
      nodeId: NODE,
      code: null,
      at: AT + 1173
    }
  ],
  record: {
    jobId: JOB,
    completeness: "complete",
    held: false,
    routing: {
      nodeId: NODE,
      attempts: [
        {
          attempt: 1,
          epoch: 1,
          nodeId: NODE,
          state: "succeeded",
          leasedAt: AT + 9,
          assignedAt: AT + 10,
          firstTokenAt: AT + 200,
          endedAt: AT + 1170,
          cause: null,
          firstSeq: 1,
          tokens: 43
        }
      ]
    }
  }
}

export const nodeLine = {
  nodeId: NODE,
  name: "swift",
  environment: "testnet",
  lifecycle: "active",
  link: "online",
  region: null,
  slots: 32,
  leased: 2,
  models: ["sim-small", "sim-embed"],
  restrictions: [{ kind: "paused", reason: "x", by: "operator/cli", since: AT, until: AT + 1 }],
  lastSeenAt: AT
}

export const nodeRow = { nodeId: NODE, lifecycle: "active", restrictions: [] }

export const key = {
  id: KEY,
  namespaceId: NS,
  label: "shop",
  prefix: "rsk-D5SRNG6B",
  ratePerSecond: 5,
  createdAt: AT,
  expiresAt: null,
  revokedAt: AT + 5
}

export const namespace = {
  id: NS,
  name: "shop",
  environment: "testnet",
  rules: { urgent: true, weight: 3, openJobsMax: 10_000, retentionDays: 30, persistPayloads: false },
  createdAt: AT
}

export const balance = {
  namespaceId: NS,
  balance: { granted: "12.5", available: "12.4", reserved: "0", spent: "0.1" }
}

export const sweeper = {
  name: "expiry",
  leader: "daemon_1",
  epoch: 1,
  watermark: null,
  sweptAt: AT,
  swept: 7,
  lastError: null,
  everyMs: 500,
  leads: true
}

export const segment = {
  id: SEGMENT,
  dataClass: "jobs",
  namespaceId: NS,
  recordVersion: 1,
  count: 2,
  from: AT,
  to: AT + 10,
  compression: "gzip",
  bytes: 512,
  sha256: "a".repeat(64),
  createdAt: AT + 20
}

const actor = (address: string, children: ReadonlyArray<object> = []) => ({
  address,
  kind: "supervisor",
  status: "running",
  restarts: 0,
  mailboxDepth: 0,
  oldestAgeMs: 0,
  startedAt: AT,
  children
})
export const actors = { data: [actor("daemon", [actor("nodes", [actor(`node/${NODE}`)])])] }

const lane = "lane.testnet.global.sim-small.normal"
export const lanes = {
  waiting: [{ lane: {}, name: lane, waiting: 8, oldestAt: AT }],
  depths: [{ name: lane, ready: 1, unacknowledged: 7, consumers: 1 }]
}

export const settings = {
  version: 3,
  digest: "546a",
  settings: {
    prices: { "llama-3.1": { perPromptToken: "1", perOutputToken: "2", perRequest: "0" } },
    aliases: {},
    outputTokensDefault: 2048
  },
  by: "operator/cli",
  reason: "slower models",
  at: AT
}
