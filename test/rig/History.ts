/**
 * What one run of the rig left behind, as its checkers read it: what clients asked and were told, what nodes computed and were told, what was done to the
 * cluster, and what the stores held at the end. Amounts are micro-credits; instants are epoch milliseconds of the rig's own clock.
 */
import type { JobRecord } from "../../src/schemas/JobRecord.ts"
import type { JobState } from "../../src/schemas/JobState.ts"
import type { ChatBody } from "../support/Texts.ts"

export type OpKind = "stream" | "sync" | "polling" | "cancel" | "sdkStream" | "sdkSync" | "leave" | "repeat"

/** One line of a client's log. */
export type ClientLine = { readonly at: number; readonly op: string } & (
  | {
      readonly type: "invoke"
      readonly client: number
      readonly namespaceId: string
      readonly key: string | null
      readonly kind: OpKind
      readonly body: ChatBody
      readonly bodyHash: string
    }
  /** A refusal that may pass: the client asks again. */
  | {
      readonly type: "refused"
      readonly daemon: string
      readonly status: number
      readonly code: string
      readonly tookMs: number
    }
  | { readonly type: "accepted"; readonly daemon: string; readonly jobId: string; readonly tookMs: number }
  /** The connection went or was given up. */
  | { readonly type: "break"; readonly daemon: string; readonly doing: string; readonly position: number }
  /** The first piece after a break. */
  | { readonly type: "resumed"; readonly daemon: string; readonly position: number; readonly gapMs: number }
  /** What no client must ever see: a piece out of turn, a text that changed, an answer without a code. */
  | { readonly type: "fault"; readonly rule: "stream" | "answer"; readonly what: string }
  | { readonly type: "cancelAsked"; readonly status: number }
  /** A look at something that this namespace must not see, and what came. */
  | { readonly type: "probe"; readonly what: string; readonly status: number; readonly expected: number }
  | {
      readonly type: "ok"
      readonly jobId: string
      readonly state: JobState
      readonly cause: string | null
      /** By choice; what the client holds, whole or not. */
      readonly texts: ReadonlyArray<string>
      readonly finishes: ReadonlyArray<string | null>
      /** A stream that said `[DONE]`, an answer in one body, or a reading that came to `ended`. */
      readonly whole: boolean
      readonly outputTokens: number
      readonly firstMs: number | null
      readonly totalMs: number
    }
  /** Refused for good. */
  | { readonly type: "fail"; readonly status: number; readonly code: string }
  /** Nobody knows: it may have happened or not. */
  | { readonly type: "info"; readonly why: string }
)

/** One line of a process of nodes. */
export type NodeLine = { readonly at: number; readonly node: string } & (
  | { readonly type: "born"; readonly nodeId: string; readonly character: string; readonly slots: number }
  | { readonly type: "registered" }
  /** `text`: all that this attempt said from `firstSeq` on, by choice. */
  | {
      readonly type: "began"
      readonly jobId: string
      readonly attempt: number
      readonly epoch: number
      readonly running: number
    }
  | {
      readonly type: "said"
      readonly jobId: string
      readonly attempt: number
      readonly pieces: number
      readonly lied: boolean
    }
  | {
      readonly type: "result"
      readonly jobId: string
      readonly attempt: number
      readonly epoch: number
      readonly outputTokens: number
    }
  | {
      readonly type: "settled"
      readonly jobId: string
      readonly attempt: number
      readonly status: "accepted" | "stale" | "refused"
    }
  | { readonly type: "gone"; readonly why: string }
)

/** One line of what was done to the cluster. */
export interface FaultLine {
  readonly at: number
  readonly kind: string
  readonly target: string
  readonly step: "begin" | "healed" | "failed"
  readonly scenario: string
  readonly note?: string
}

/** One line about a daemon as a process. */
export type DaemonLine = { readonly at: number; readonly daemon: string } & (
  | { readonly type: "started"; readonly pid: number }
  | { readonly type: "ready"; readonly tookMs: number }
  | { readonly type: "exit"; readonly code: number | null; readonly signal: string | null; readonly asked: boolean }
  | { readonly type: "rss"; readonly mib: number }
)

export interface StoredJob {
  readonly id: string
  readonly namespaceId: string
  readonly facts: {
    readonly reserved: string
    readonly quote: { readonly perPromptToken: string; readonly perOutputToken: string; readonly perRequest: string }
  }
  readonly state: JobState
  readonly owner: string | null
  readonly epoch: number
  readonly attempt: number
  readonly reserved: bigint
  readonly charged: bigint
  readonly promptTokens: number
  readonly outputTokens: number
  readonly errorCode: string | null
  readonly events: number
}

export interface StoredEvent {
  readonly jobId: string
  readonly seq: number
  readonly kind: string
  readonly from: JobState | null
  readonly to: JobState
  readonly epoch: number
  readonly attempt: number
}

export interface StoredEntry {
  readonly namespaceId: string
  readonly kind: "grant" | "reserve" | "settle" | "refund"
  readonly amount: bigint
  readonly jobId: string | null
}

export interface StoredBalance {
  readonly namespaceId: string
  readonly granted: bigint
  readonly available: bigint
  readonly reserved: bigint
  readonly spent: bigint
  readonly openJobs: number
}

/** The deciding store at the end. */
export interface StoredState {
  readonly jobs: ReadonlyArray<StoredJob>
  readonly events: ReadonlyArray<StoredEvent>
  readonly entries: ReadonlyArray<StoredEntry>
  readonly balances: ReadonlyArray<StoredBalance>
  readonly keys: ReadonlyArray<{ readonly namespaceId: string; readonly key: string; readonly jobId: string }>
  readonly outbox: number
}

/** A job's document without its texts. */
export type StoredRecord = Pick<
  JobRecord,
  "jobId" | "namespaceId" | "state" | "completeness" | "truncatedReason" | "errorCode"
> & {
  readonly cost: string | null
  readonly outputSha256: string | null
  readonly outputTokens: number | null
}

export interface History {
  readonly clients: ReadonlyArray<ClientLine>
  readonly nodes: ReadonlyArray<NodeLine>
  readonly faults: ReadonlyArray<FaultLine>
  readonly daemons: ReadonlyArray<DaemonLine>
  readonly state: StoredState
  /** null: the record of this job could not be read at all. */
  readonly records: ReadonlyMap<string, StoredRecord | null>
  /** The secret word of each namespace, which stands in each of its prompts. */
  readonly canaries: ReadonlyMap<string, string>
  /** Places outside of the records where a canary was found. */
  readonly leaks: ReadonlyArray<string>
  /** What was still under way when the patience after the last fault was over. */
  readonly leftOver: ReadonlyArray<string>
}

export interface Finding {
  readonly rule: string
  readonly what: string
}

/** A rule of its own. Reads the history once; every finding is a sentence. */
export interface HistoryRule {
  readonly rule: string
  readonly check: (history: History, ops: ReadonlyArray<Op>) => Iterable<string>
}

type LineOf<Type extends ClientLine["type"]> = Extract<ClientLine, { readonly type: Type }>

/** All lines of one operation. */
export interface Op {
  readonly id: string
  readonly invoke: LineOf<"invoke">
  readonly lines: ReadonlyArray<ClientLine>
  /** The jobs that answers of success named. */
  readonly accepted: ReadonlyArray<string>
  readonly end: LineOf<"ok"> | LineOf<"fail"> | LineOf<"info"> | null
}

/** Lines in the order in which they were written, by operation. */
export const opsOf = (lines: ReadonlyArray<ClientLine>): ReadonlyArray<Op> => {
  const byId = new Map<string, Array<ClientLine>>()
  for (const line of lines) {
    const of = byId.get(line.op)
    if (of === undefined) byId.set(line.op, [line])
    else of.push(line)
  }
  const ops: Array<Op> = []
  for (const [id, of] of byId) {
    const invoke = of.find((line) => line.type === "invoke")
    if (invoke === undefined) continue
    const accepted = of.flatMap((line) => (line.type === "accepted" ? [line.jobId] : []))
    const end = of.find((line) => line.type === "ok" || line.type === "fail" || line.type === "info") ?? null
    ops.push({ id, invoke, lines: of, accepted, end })
  }
  return ops
}
