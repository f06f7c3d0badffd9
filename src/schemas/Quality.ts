/**
 * What the network asks its own nodes to see how good they are, and what came of it: evaluation sets with versions, trials (jobs whose answer is judged),
 * evidence for or against a node with a model, and the standing that follows from it. Texts stand here, so none of it is ever stored in PostgreSQL, and
 * only administrators read it.
 */
import * as Schema from "effect/Schema"
import { JobId, NodeId } from "./Ids.ts"
import { Environment, Mode } from "./Job.ts"

/** Chosen by whoever makes the set: `arithmetic`, `json-basics`. */
export const EvaluationSetId = Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9_-]{0,63}$/)).pipe(
  Schema.brand("EvaluationSetId")
)
export type EvaluationSetId = typeof EvaluationSetId.Type

export const TrialId = Schema.String.check(Schema.isPattern(/^trial_[a-z0-9_-]{1,64}$/)).pipe(Schema.brand("TrialId"))
export type TrialId = typeof TrialId.Type

const Text = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(2048))
const Size = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

/** Longer patterns say nothing that two shorter ones could not. */
export const PATTERN_MAX = 256

const compiles = Schema.makeFilter((pattern: string) => {
  try {
    return RegExp(pattern, "u").source !== "" || "must not be empty"
  } catch {
    return "is no regular expression"
  }
})

export const JsonKind = Schema.Literals(["string", "number", "boolean", "array", "object", "null"])
export type JsonKind = typeof JsonKind.Type

/** What an answer must be. Letter case, and white space at its ends and in rows, never count. */
export const Expectation = Schema.Union([
  /** The whole answer is this text. */
  Schema.Struct({ kind: Schema.Literal("exact"), text: Text }),
  /** Each of these texts stands in it. */
  Schema.Struct({
    kind: Schema.Literal("contains"),
    all: Schema.Array(Text).check(Schema.isMinLength(1), Schema.isMaxLength(16))
  }),
  /** The pattern is found in it, in any letter case. */
  Schema.Struct({
    kind: Schema.Literal("regex"),
    pattern: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(PATTERN_MAX), compiles)
  }),
  /** It is a JSON object, also within a fence, with these fields of these kinds. */
  Schema.Struct({ kind: Schema.Literal("json"), required: Schema.Record(Schema.String, JsonKind) }),
  /** It has so many characters. */
  Schema.Struct({ kind: Schema.Literal("length"), min: Size, max: Size })
])
export type Expectation = typeof Expectation.Type

export const EvaluationPrompt = Schema.Struct({
  id: Schema.String.check(Schema.isPattern(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/)),
  text: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(8192)),
  /** Output tokens without which no good answer can be expected. */
  tokensMin: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4096 })),
  /** All of them have to hold. */
  expect: Schema.Array(Expectation).check(Schema.isMinLength(1), Schema.isMaxLength(8))
})
export type EvaluationPrompt = typeof EvaluationPrompt.Type

export const PROMPTS_MAX = 200

const unlike = Schema.makeFilter((prompts: ReadonlyArray<{ readonly id: string }>) =>
  new Set(prompts.map(({ id }) => id)).size === prompts.length ? undefined : "has two prompts of one id"
)

/** What somebody writes; everything else is added when it is stored. */
export const evaluationSetFields = {
  id: EvaluationSetId,
  endpoint: Schema.Literals(["chat", "completions"]),
  /** Models by name; `*` stands for anything. */
  models: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(256)),
  prompts: Schema.Array(EvaluationPrompt).check(Schema.isMinLength(1), Schema.isMaxLength(PROMPTS_MAX), unlike)
} as const

/** One version of a set, which nothing changes. */
export const EvaluationSet = Schema.Struct({
  ...evaluationSetFields,
  /** From 1, without a gap. */
  version: Schema.Int,
  /** SHA-256 over the canonical JSON of endpoint, models and prompts. */
  sha256: Schema.String,
  by: Schema.String,
  reason: Schema.String,
  at: Schema.Int
})
export type EvaluationSet = typeof EvaluationSet.Type

/** A version without its prompts. */
export const EvaluationSetLine = Schema.Struct({
  id: EvaluationSetId,
  version: Schema.Int,
  endpoint: Schema.Literals(["chat", "completions"]),
  models: Schema.String,
  prompts: Schema.Int,
  sha256: Schema.String,
  by: Schema.String,
  reason: Schema.String,
  at: Schema.Int
})
export type EvaluationSetLine = typeof EvaluationSetLine.Type

export const TrialKind = Schema.Literals(["blind", "retest", "replica"])
export type TrialKind = typeof TrialKind.Type

/** planned: no job yet. running: its job was admitted. void: it says nothing about the node. */
export const TrialState = Schema.Literals(["planned", "running", "passed", "failed", "void"])
export type TrialState = typeof TrialState.Type

export const Check = Schema.Struct({ check: Schema.String, ok: Schema.Boolean })
export type Check = typeof Check.Type

/** Characters of an answer that are kept; its hash is over all of it. */
export const ANSWER_KEPT_MAX = 16_384

/** One job whose answer is judged: what it was, what was expected, what came. */
export const Trial = Schema.Struct({
  id: TrialId,
  kind: TrialKind,
  state: TrialState,
  environment: Environment,
  nodeId: NodeId,
  model: Schema.String,
  endpoint: Schema.Literals(["chat", "completions"]),
  /** null for a replica of an ordinary job, as the three after it. */
  setId: Schema.NullOr(EvaluationSetId),
  setVersion: Schema.NullOr(Schema.Int),
  promptId: Schema.NullOr(Schema.String),
  expect: Schema.Array(Expectation),
  /** The job that a replica repeats, and the node that did it. */
  replicaOf: Schema.NullOr(Schema.Struct({ jobId: JobId, nodeId: NodeId })),
  /** How to ask, until it has ended. The request of a replica is that of its original. */
  order: Schema.NullOr(
    Schema.Struct({ mode: Mode, deadlineMs: Schema.NullOr(Schema.Int), request: Schema.NullOr(Schema.JsonObject) })
  ),
  jobId: Schema.NullOr(JobId),
  plannedAt: Schema.Int,
  endedAt: Schema.NullOr(Schema.Int),
  /** null while there is none, and always for a replica of an ordinary job. */
  answer: Schema.NullOr(Schema.String),
  answerSha256: Schema.NullOr(Schema.String),
  checks: Schema.Array(Check),
  /** 0 to 1: the share of checks that held, or the likeness of a replica. */
  score: Schema.NullOr(Schema.Finite),
  /** Why it is void. */
  code: Schema.NullOr(Schema.String)
})
export type Trial = typeof Trial.Type

/** trials: judged answers to known questions. checks: what can be seen of any answer without knowing what is right. */
export const EvidenceSource = Schema.Literals(["trials", "checks"])
export type EvidenceSource = typeof EvidenceSource.Type

/** For and against one node with one model; ordinary jobs are counted many at a time. */
export const Evidence = Schema.Struct({
  id: Schema.String,
  nodeId: NodeId,
  model: Schema.String,
  source: EvidenceSource,
  at: Schema.Int,
  passed: Schema.Finite,
  failed: Schema.Finite,
  /** By check, how often it did not hold. */
  faults: Schema.Record(Schema.String, Schema.Int)
})
export type Evidence = typeof Evidence.Type

/** A share that lies between `low` and `high` with 95 % confidence. */
export const Interval = Schema.Struct({
  samples: Schema.Finite,
  rate: Schema.Finite,
  low: Schema.Finite,
  high: Schema.Finite
})
export type Interval = typeof Interval.Type

export const Score = Schema.Struct({
  trials: Schema.NullOr(Interval),
  checks: Schema.NullOr(Interval),
  faults: Schema.Record(Schema.String, Schema.Int),
  at: Schema.Int
})
export type Score = typeof Score.Type

/** How a node stands with a model. `rev` grows with each piece of evidence; the score is of `scoredRev`. */
export const Standing = Schema.Struct({
  nodeId: NodeId,
  model: Schema.String,
  rev: Schema.Int,
  scoredRev: Schema.Int,
  score: Schema.NullOr(Score)
})
export type Standing = typeof Standing.Type
