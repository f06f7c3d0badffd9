/** Evaluation sets, trials and evidence for tests, each another one. */
import { randomBytes } from "node:crypto"
import type { SetDraft } from "../../src/layers/EvaluationSets.ts"
import type { NodeId } from "../../src/schemas/Ids.ts"
import type { EvaluationSetId, Evidence, Trial, TrialId } from "../../src/schemas/Quality.ts"

const fresh = () => randomBytes(8).toString("hex")

export const freshNodeId = (): NodeId => `0x${randomBytes(20).toString("hex")}` as NodeId
export const freshSetId = (): EvaluationSetId => `set-${fresh()}` as EvaluationSetId

export const aDraft = (over: Partial<SetDraft> = {}): SetDraft => ({
  id: freshSetId(),
  endpoint: "chat",
  models: "*",
  prompts: [{ id: "sum", text: "What is 2 + 2?", tokensMin: 8, expect: [{ kind: "contains", all: ["4"] }] }],
  by: "operator/test",
  reason: "so it is",
  at: 1_000,
  ...over
})

export const aTrial = (over: Partial<Trial> = {}): Trial => ({
  id: `trial_${fresh()}` as TrialId,
  kind: "blind",
  state: "planned",
  environment: "testnet",
  nodeId: freshNodeId(),
  model: "sim-small",
  endpoint: "chat",
  setId: null,
  setVersion: null,
  promptId: null,
  expect: [],
  replicaOf: null,
  order: null,
  jobId: null,
  plannedAt: 1_000,
  endedAt: null,
  answer: null,
  answerSha256: null,
  checks: [],
  score: null,
  code: null,
  ...over
})

export const anEvidence = (over: Partial<Evidence> = {}): Evidence => ({
  id: fresh(),
  nodeId: freshNodeId(),
  model: "sim-small",
  source: "trials",
  at: 1_000,
  passed: 1,
  failed: 0,
  faults: {},
  ...over
})
