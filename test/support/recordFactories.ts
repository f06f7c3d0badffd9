/**
 * Documents, pieces, log entries and incidents for the record suites. Every id is new in its process, and every test takes a namespace and a
 * stretch of time of its own, so suites may share one store and an operator's view may be asked for exactly.
 */
import { Arbitrary, Schema } from "effect"
import type { Change, RecordPatch, Scope } from "../../src/layers/JobRecords.ts"
import type { ArchivedJob } from "../../src/layers/RecordRetention.ts"
import { SegmentId } from "../../src/schemas/Archive.ts"
import { canonicalJson } from "../../src/schemas/CanonicalJson.ts"
import { IncidentId, JobId, KeyId, NamespaceId, NodeId } from "../../src/schemas/Ids.ts"
import type { Incident, Sighting } from "../../src/schemas/Incident.ts"
import { JobRecord, type LogEntry, RECORD_VERSION } from "../../src/schemas/JobRecord.ts"
import type { Tombstone } from "../../src/schemas/Tombstone.ts"
import { TokenEvent } from "../../src/schemas/TokenEvent.ts"
import { withPlainKeys } from "./PlainKeys.ts"

let last = 0
const next = () => `t${(++last).toString(36).padStart(6, "0")}`
const hex = (digits: number) => (++last).toString(16).padStart(digits, "0")

export const freshJob = () => JobId.make(`job_${next()}`)
export const freshNamespace = () => NamespaceId.make(`ns_${next()}`)
export const freshKey = () => KeyId.make(`key_${next()}`)
export const freshNode = () => NodeId.make(`0x${hex(40)}`)
export const freshSegment = () => SegmentId.make(`seg_${hex(32)}`)
export const freshIncident = () => IncidentId.make(`incident_${next()}`)

export const DAY = 86_400_000
/** The first instant of ten days that no other test uses. */
export const freshTime = () => Date.UTC(2026, 0, 1) + ++last * 10 * DAY

export const operator: Scope = { _tag: "Operator", by: "tester" }
export const only = (namespaceId: NamespaceId): Scope => ({ _tag: "Namespace", namespaceId })

export const aRecord = (over: Partial<JobRecord> = {}): JobRecord => ({
  jobId: freshJob(),
  version: RECORD_VERSION,
  service: "network",
  environment: "testnet",
  namespaceId: freshNamespace(),
  keyId: freshKey(),
  clientTag: null,
  priority: "normal",
  constraints: {},
  state: "queued",
  errorCode: null,
  createdAt: 1_700_000_000_000,
  finishedAt: null,
  input: {
    endpoint: "chat",
    mode: "sync",
    model: "tiny",
    requestedModel: "tiny",
    request: { messages: [{ role: "user", content: "hello" }] }
  },
  routing: { nodeId: null, assignedAt: null, attempts: [], fallbacks: [], decisions: [] },
  output: null,
  evaluation: { failure: false, failures: [], lowConfidence: null, moderation: [] },
  system: {
    queueMs: null,
    dispatchMs: null,
    firstTokenMs: null,
    totalMs: null,
    retries: 0,
    gpu: null,
    configDigest: "digest"
  },
  cost: null,
  workflow: null,
  completeness: "open",
  truncatedReason: null,
  moments: [],
  held: false,
  ...over
})

export const anOutput = (prompt: number, completion: number): NonNullable<JobRecord["output"]> => ({
  kind: "text",
  choices: [{ choice: 0, text: "hi", finish: "stop" }],
  tokens: { prompt, completion, total: prompt + completion },
  latencyMs: 5,
  sha256: "0"
})

export const aFinishedRecord = (finishedAt: number, over: Partial<JobRecord> = {}): JobRecord =>
  aRecord({ state: "completed", completeness: "complete", output: anOutput(3, 4), finishedAt, ...over })

export const aTombstone: Tombstone = { at: 1_700_000_000_000, why: "dropped", sha256: "5".repeat(64), segmentId: null }

/** Pieces `first` to `last`, each saying its number. */
export const pieces = (first: number, last: number, word = "p"): ReadonlyArray<TokenEvent> =>
  Array.from({ length: Math.max(last - first + 1, 0) }, (_, index) => ({
    seq: first + index,
    choice: 0,
    text: `${word}${first + index}`,
    offsetMs: index
  }))

export const aLogEntry = (namespaceId: NamespaceId, over: Partial<LogEntry> = {}): LogEntry => ({
  namespaceId,
  type: "request",
  at: 1_700_000_000_000,
  jobId: null,
  nodeId: null,
  code: "accepted",
  data: {},
  ...over
})

export const anIncident = (over: Partial<Incident> = {}): Incident => ({
  id: freshIncident(),
  kind: "warning",
  type: "slow_job",
  severity: "low",
  subject: "sweeper/retention",
  stage: null,
  jobId: null,
  nodeId: null,
  namespaceId: null,
  observed: 1,
  expected: { max: 0 },
  at: 1_700_000_000_000,
  ...over
})

/** What a detector saw. */
export const aSighting = (over: Partial<Sighting> = {}): Sighting => {
  const { id: _, ...facts } = anIncident()
  return { ...facts, ...over }
}

const RecordJson = Schema.toCodecJson(JobRecord)
export const encodeRecord = Schema.encodeSync(RecordJson)
const decodeRecord = Schema.decodeUnknownSync(RecordJson)

/** JSON has one zero: what Schema generates for numbers may be minus nothing, which no JSON store brings back. */
const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** Strings that a store which takes text for something simpler than it is will not bring back. */
const nasty = [
  "\u0000",
  "a\u0000b",
  "\ud800",
  "\udfff\ud800",
  "é\u0301😀",
  "\u2028",
  "'; DROP TABLE record; --",
  '"',
  "\\u0000"
]
const NastyText = Arbitrary.schema(Schema.Union([Schema.Literals(nasty as [string, ...Array<string>]), Schema.String]))

/** Any document the schema allows, under an id of its own, with a request and free texts out to break something. */
export const arbitraryRecord: Arbitrary.Arbitrary<JobRecord> = Arbitrary.map(
  Arbitrary.all({
    record: Arbitrary.schema(JobRecord),
    request: Arbitrary.schema(Schema.Json),
    text: NastyText,
    key: NastyText
  }),
  ({ record: generated, request: asked, text, key }) => {
    // A document is never opened without its body.
    const { tombstone: _, ...record } = withPlainKeys(generated)
    const request = withPlainKeys(asked)
    return {
      ...decodeRecord(throughJson(encodeRecord(record))),
      jobId: freshJob(),
      clientTag: text,
      errorCode: record.errorCode === null ? null : text,
      truncatedReason: record.truncatedReason === null ? null : text,
      input: {
        ...record.input,
        model: text,
        request: throughJson([request, { [key]: text, deep: [text, { [text]: request }] }]) as Schema.Json
      }
    }
  }
)

export const arbitraryPiece: Arbitrary.Arbitrary<TokenEvent> = Arbitrary.map(
  Arbitrary.all({ event: Arbitrary.schema(TokenEvent), text: NastyText }),
  ({ event, text }) => ({ ...(throughJson(withPlainKeys(event)) as TokenEvent), text })
)

/** What a retention pass would write: the bytes that must not change between two readings. */
export const archiveLine = ({ record, traces, logs }: ArchivedJob): string =>
  canonicalJson({ record: encodeRecord(record), traces, logs } as unknown as Schema.Json)

/** What the actor of a job asks for; epoch 0 is nobody's. */
export const aChange = (jobId: JobId, patch: RecordPatch, durable: boolean, epoch = 0): Change => ({
  jobId,
  epoch,
  patch,
  durable
})
