/**
 * What is left to do for a job that was completed and charged while its record could not be written, and whose actor died before it could be: its
 * node keeps the answer until it is told that it is recorded. It is asked for what the trace lacks, and the record is closed with it, under the
 * row's own epoch; so two daemons that do this at once write the same. What ends it: the closed record, or a node that has nothing, or is gone.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { ActorContext } from "../../kernel/Actor.ts"
import { waitOut } from "../../layers/Outage.ts"
import { piecesHash } from "../../layers/Signatures.ts"
import type { Piece } from "../../schemas/AgentFrame.ts"
import type { NodeId } from "../../schemas/Ids.ts"
import type { Job } from "../../schemas/Job.ts"
import { type JobRecord, saltOf } from "../../schemas/JobRecord.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import type { NodeProof } from "../../schemas/NodeProof.ts"
import { closingOf, RECORD_LOST } from "../ClosingRecord.ts"
import type { NodeMessage, NodeReport } from "../node/NodeMessages.ts"
import { answersWhatWasAsked } from "./Asked.ts"
import { OUTPUT_BYTES_MAX, type JobHouse } from "./JobActorState.ts"
import { tellNode } from "./JobCommands.ts"
import { endFeed } from "./JobFeed.ts"
import type { JobMessage } from "./JobMessages.ts"
import { finishedIn, proofOf } from "./JobPieces.ts"

/** A node that is silent is asked again this often, and let go after so many times. */
const LOOK_EVERY = "10 seconds"
const LOOKS_MAX = 60
/** Crashes of one rescue; then the answer is given up. */
const RESTARTS_MAX = 5
const STORE_PIECES_MAX = 512

export interface RecordRescue {
  readonly _tag: "RecordRescue"
  readonly house: JobHouse
  readonly self: ActorContext<JobMessage>
  readonly job: Job
  readonly row: JobRow
  readonly record: JobRecord
  readonly nodeId: NodeId
  /** The job's pieces from number 1 on; of these so many are stored. */
  readonly events: Array<TokenEvent>
  readonly stored: number
  /** Pieces that come now were said long ago: they bear the time of the job's end. */
  readonly offsetMs: number
  /** Choices that have said their last piece. */
  readonly over: Set<number>
  outputBytes: number
  looks: number
  /** Pieces at the last look. */
  seen: number
  /** The answer is whole and on its way to the stores. */
  closing: boolean
}

export const isRescue = (state: object): state is RecordRescue => "_tag" in state

/** Null when there is nothing to rescue, or nobody here to ask for it. A node that need not hold it any more is told so. */
export const beginRescue = (house: JobHouse, row: JobRow, self: ActorContext<JobMessage>) =>
  Effect.gen(function* () {
    const { job, state, nodeId, attempt, epoch } = row
    if (state !== "completed" || nodeId === null) return null
    const record = yield* waitOut(house.records.get(readerOf(house), job.id))
    if (!lacksOutput(record) || self.restarts > RESTARTS_MAX) {
      tellNode({ house }, nodeId, { _tag: "SettleAttempt", jobId: job.id, attempt, status: "stale" })
      return null
    }
    const events = [...(yield* waitOut(house.traces.fence(job.id, epoch)))]
    const endedAt = row.finishedAt ?? (yield* Clock.currentTimeMillis)
    const rescue: RecordRescue = {
      _tag: "RecordRescue",
      house,
      self,
      job,
      row,
      record,
      nodeId,
      events,
      stored: events.length,
      offsetMs: Math.max(0, endedAt - (record.routing.assignedAt ?? job.acceptedAt)),
      over: finishedIn(events),
      outputBytes: 0,
      looks: 0,
      seen: events.length,
      closing: false
    }
    if (!askFrom(rescue)) return null
    yield* lookLater(rescue)
    return rescue
  })

/** Open, or given up by the repair, which knows nothing of what nodes hold. */
const lacksOutput = (record: JobRecord | null): record is JobRecord =>
  record !== null && (record.completeness === "open" || record.truncatedReason === RECORD_LOST)

export const rescueOn = (rescue: RecordRescue, message: JobMessage): Effect.Effect<void, unknown> => {
  switch (message._tag) {
    case "NodeHolds":
      return Effect.sync(() => onHolds(rescue, message))
    case "NodePieces":
      return isCurrent(rescue, message) ? onPieces(rescue, message.pieces) : Effect.void
    case "NodeResult":
      return isCurrent(rescue, { ...message.result, nodeId: message.nodeId }) ? onResult(rescue, message) : Effect.void
    // What it holds it says again when it is back, here or elsewhere.
    case "NodeGone":
    case "NodeFailed":
      return isOurs(rescue, message) && !rescue.closing ? rescue.self.stop : Effect.void
    case "ReattachAgain":
      return look(rescue)
    case "RecordAnswered":
      return Effect.flatMap(message.exit, (isClosed) => onClosed(rescue, isClosed))
    case "EndedElsewhere":
      return Effect.sync(() => endFeed(rescue.house.feeds, rescue.job.id))
    case "Drain":
      return message.onlyIdle ? Effect.void : rescue.self.stop
    default:
      return Effect.void
  }
}

type Report<Tag extends NodeReport["_tag"]> = Extract<NodeReport, { _tag: Tag }>

const isOurs = ({ nodeId, row }: RecordRescue, told: { readonly nodeId: NodeId; readonly attempt: number }) =>
  told.nodeId === nodeId && told.attempt === row.attempt

const isCurrent = (
  rescue: RecordRescue,
  told: { readonly nodeId: NodeId; readonly attempt: number; readonly epoch: number }
) => isOurs(rescue, told) && told.epoch === rescue.row.epoch && !rescue.closing

const tell = ({ house, nodeId }: RecordRescue, message: NodeMessage): boolean => tellNode({ house }, nodeId, message)

/** For the first piece that is not here, and all that follow; false when its actor is not here. */
const askFrom = (rescue: RecordRescue): boolean => {
  const { job, row, events } = rescue
  const { attempt, epoch } = row
  return tell(rescue, { _tag: "Reattach", jobId: job.id, attempt, epoch, fromSeq: events.length + 1 })
}

const lookLater = ({ self }: RecordRescue) => self.after("reattach", LOOK_EVERY, { _tag: "ReattachAgain" })

const look = (rescue: RecordRescue): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { events, seen } = rescue
    if (rescue.closing) return
    rescue.looks += 1
    if (yield* isClosedElsewhere(rescue)) return yield* forget(rescue)
    if (rescue.looks > LOOKS_MAX) return yield* letGo(rescue, "stale")
    rescue.seen = events.length
    if (events.length === seen) askFrom(rescue)
    yield* lookLater(rescue)
  })

/** By who settled the job and was still waiting for its stores, for instance. */
const isClosedElsewhere = ({ house, job }: RecordRescue): Effect.Effect<boolean> =>
  house.records.get(readerOf(house), job.id).pipe(
    Effect.map((record) => !lacksOutput(record)),
    Effect.catchTag("Outage", () => Effect.succeed(false))
  )

const readerOf = ({ daemonId }: JobHouse) => ({ _tag: "Operator", by: `daemon/${daemonId}` }) as const

/** There is nothing to rescue any more. */
const forget = (rescue: RecordRescue): Effect.Effect<never> => {
  const { job, row, self } = rescue
  tell(rescue, { _tag: "SettleAttempt", jobId: job.id, attempt: row.attempt, status: "stale" })
  return self.stop
}

/** The repair of records does what can be done without the node. */
const letGo = (rescue: RecordRescue, status: "accepted" | "stale" | "refused"): Effect.Effect<never> => {
  const { job, row, self } = rescue
  tell(rescue, { _tag: "SettleAttempt", jobId: job.id, attempt: row.attempt, status })
  const facts = { jobId: job.id, nodeId: rescue.nodeId, status }
  const said =
    status === "accepted"
      ? Effect.logInfo("answer taken from its node", facts)
      : Effect.logWarning("answer of a record given up", facts)
  return Effect.andThen(said, self.stop)
}

/** Another node, or an earlier attempt, has nothing that counts. */
const onHolds = (rescue: RecordRescue, held: Report<"NodeHolds">): void => {
  const { house, job, closing } = rescue
  if (!isOurs(rescue, held)) {
    const { nodeId, attempt } = held
    tellNode({ house }, nodeId, { _tag: "SettleAttempt", jobId: job.id, attempt, status: "stale" })
  } else if (!closing) {
    // It was away meanwhile.
    rescue.looks = 0
    askFrom(rescue)
  }
}

/** What comes after a gap is not taken: the next look asks for it. */
const onPieces = (rescue: RecordRescue, pieces: ReadonlyArray<Piece>): Effect.Effect<void> => {
  const { events, job, offsetMs, over } = rescue
  for (const piece of pieces) {
    if (piece.seq !== events.length + 1) continue
    rescue.outputBytes += piece.text.length + (piece.extra === undefined ? 0 : JSON.stringify(piece.extra).length)
    const isOver = job.endpoint !== "embeddings" && over.has(piece.choice)
    if (isOver || piece.choice >= job.choices || rescue.outputBytes > OUTPUT_BYTES_MAX) return letGo(rescue, "refused")
    events.push({ ...piece, offsetMs })
    if (piece.finish !== undefined) over.add(piece.choice)
  }
  return Effect.void
}

const onResult = (rescue: RecordRescue, told: Report<"NodeResult">): Effect.Effect<void> => {
  const { events, self, record } = rescue
  const { result } = told
  // What an earlier attempt said on another node, and no store took, this one never had: it would be asked for in vain.
  if (result.firstSeq > events.length + 1) return letGo(rescue, "stale")
  // What is missing is asked for at the next look, so not more often than that.
  if (result.lastSeq > events.length) return Effect.void
  if (result.lastSeq < events.length || result.firstSeq < 1) return letGo(rescue, "refused")
  const hash = piecesHash(saltOf(record))
  for (const { offsetMs: _offset, ...piece } of events.slice(result.firstSeq - 1)) hash.add(piece)
  if (hash.digest() !== result.piecesSha256 || !answersWhatWasAsked(rescue, result)) return letGo(rescue, "refused")
  rescue.closing = true
  return self.fork(closeWhole(rescue, proofOf(told)), (exit) => ({ _tag: "RecordAnswered", exit }))
}

/** Nothing is lost by waiting while the node holds it. False: the job's text is on its way to the archive, or there already. */
const closeWhole = ({ house, job, row, events, stored }: RecordRescue, proof: NodeProof): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    const { epoch, attempt } = row
    for (let at = stored; at < events.length; at += STORE_PIECES_MAX) {
      const batch = { jobId: job.id, epoch, attempt, events: events.slice(at, at + STORE_PIECES_MAX) }
      if (!(yield* waitOut(house.traces.append(batch)))) return false
    }
    const change = { jobId: job.id, epoch, patch: closingOf(row, events, true, proof), durable: true }
    return (yield* waitOut(house.records.patch(change))) === "done"
  })

const onClosed = (rescue: RecordRescue, isClosed: boolean): Effect.Effect<void> =>
  letGo(rescue, isClosed ? "accepted" : "stale")
