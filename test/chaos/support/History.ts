/** What happened in one run, as it took effect: the calls that did something, the frames, what clients were told. The checkers read nothing else. */
import type { MemoryLive } from "../../../src/layers/memory/MemoryLive.ts"
import type * as MemoryRecords from "../../../src/layers/memory/MemoryRecords.ts"
import type * as MemoryState from "../../../src/layers/memory/MemoryState.ts"
import type { ReceiptAudit } from "../../../src/actors/ReceiptDesk.ts"
import type { JobRequest } from "../../../src/actors/job/Admission.ts"
import type { AgentFrame, DaemonFrame } from "../../../src/schemas/AgentFrame.ts"
import type { JobId, NamespaceId, NodeId } from "../../../src/schemas/Ids.ts"
import type { JobRow } from "../../../src/schemas/JobState.ts"
import type { TokenEvent } from "../../../src/schemas/TokenEvent.ts"

/** One call of a contract that took effect, or one delivery that was settled. */
export interface Call {
  readonly at: number
  readonly daemon: string
  /** `JobStore.finish` */
  readonly point: string
  readonly args: ReadonlyArray<unknown>
  readonly result: unknown
}

/** One attempt as the agent knows it. */
export interface AttemptLog {
  readonly at: number
  readonly nodeId: NodeId
  readonly what: "assigned" | "ended"
  readonly jobId: JobId
  readonly attempt: number
  /** Attempts that run there after this. */
  readonly running: number
  readonly slots: number
  readonly region: string
}

export interface ReaderLog {
  readonly jobId: JobId
  readonly from: number
  readonly events: Array<TokenEvent>
  row: JobRow | null
  /** Signals that did not follow on. */
  readonly faults: Array<string>
}

export interface ClientLog {
  readonly namespaceId: NamespaceId
  readonly request: JobRequest
  readonly expected: ReadonlyArray<string>
  /** Every answer that said: accepted. */
  readonly accepted: Array<JobId>
  /** Codes of definite refusals. */
  readonly refused: Array<string>
  /** Told that the job is cancelled. */
  cancelled: boolean
  readonly readers: Array<ReaderLog>
  /** What should not have been said to a client that knows its job. */
  readonly faults: Array<string>
}

export interface Canary {
  readonly namespaceId: NamespaceId
  readonly word: string
}

export class History {
  /** What was given to the broker. */
  readonly published: Array<unknown> = []
  readonly attempts: Array<AttemptLog> = []
  readonly clients: Array<ClientLog> = []
  readonly canaries: Array<Canary> = []
  readonly logs: Array<string> = []
  /** What was read under a foreign namespace and should not have been. */
  readonly leaks: Array<string> = []
  readonly crashes: Array<string> = []
  /** Hashes of receipts as they were written down before the last pass over the books. */
  readonly receipts = new Map<JobId, string>()
  /** What was found when every receipt was compared with the stores; null: the books were not closed. */
  audits: ReadonlyArray<ReceiptAudit> | null = null
  /** Each job as it had to be kept when the upkeep began, as an archive says it. */
  readonly kept = new Map<JobId, string>()
  /** Those of them that are past their retention. */
  readonly aged = new Set<JobId>()
}

/** What checkers are shown while the run goes on. */
export interface Scene {
  readonly history: History
  readonly state: MemoryState.State
  readonly records: MemoryRecords.State
  readonly live: MemoryLive["Service"]
  readonly now: () => number
  /** Deliveries of a job that the broker waits to be settled, and messages of it that are on their way there. */
  readonly outstanding: (jobId: JobId) => number
  /** Deliveries of one lane that a daemon may hold. */
  readonly prefetch: number
  /** Nobody died or was cut off amid a lease. */
  readonly isGentle: () => boolean
  /** Pieces that were served while no store took them may be lost with their daemon. */
  readonly mayForget: () => boolean
  /** In this world nobody will take the job over from an owner that is gone. */
  readonly isStranded: (row: JobRow) => boolean
  /** In this world nobody closes a record whose writer died, or lets go of an old job. */
  readonly leavesRecordsOpen: boolean
  readonly keepsForEver: boolean
  /** Slots that are still leased, though no job is under way. */
  readonly leasesLeft: () => ReadonlyArray<string>
  /** Mailboxes and feeds of every living daemon. */
  readonly depths: () => ReadonlyArray<{
    readonly what: string
    readonly depth: number
    readonly max: number
  }>
}

export type DaemonFrameOf<Tag extends DaemonFrame["_tag"]> = Extract<DaemonFrame, { _tag: Tag }>
export type AgentFrameOf<Tag extends AgentFrame["_tag"]> = Extract<AgentFrame, { _tag: Tag }>

/** A rule of its own: it sees each call as it took effect, then everything at the end. What it returns is a violation. */
export interface Checker {
  readonly name: string
  /** Calls of these points only; all of them when it does not say. */
  readonly points?: ReadonlyArray<string>
  readonly during?: (call: Call, scene: Scene) => string | null
  readonly atEnd?: (scene: Scene) => ReadonlyArray<string>
}
