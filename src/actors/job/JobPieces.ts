/**
 * What arrives from the node of a job: numbered pieces, and the signed result over them. Pieces that are known are skipped, a gap asks
 * the node to repeat, and readers see a piece once it survives this process (or, while the trace store is out, at once).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Metrics from "../../layers/Metrics.ts"
import { piecesHash } from "../../layers/Signatures.ts"
import { addPiece, measureOutput, reconcile, reconcilePrompt } from "../../policies/OutputTokens.ts"
import { claimOf, type Piece } from "../../schemas/AgentFrame.ts"
import { saltOf } from "../../schemas/JobRecord.ts"
import type { NodeProof } from "../../schemas/NodeProof.ts"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import type { NodeReport } from "../node/NodeMessages.ts"
import { answersWhatWasAsked } from "./Asked.ts"
import { OUTPUT_BYTES_MAX, type JobActorState } from "./JobActorState.ts"
import { apply, perform, tellNode } from "./JobCommands.ts"
import { publish } from "./JobFeed.ts"
import { raise } from "./JobIncidents.ts"

type Report<Tag extends NodeReport["_tag"]> = Extract<NodeReport, { _tag: Tag }>

const STORE_PIECES_MAX = 512

/**
 * The server's count may pass what was asked for by this factor before the node is taken for a flood: a runtime may send each letter as a piece
 * of its own. What is charged never passes what was asked for.
 */
const COUNT_FACTOR = 16
const COUNT_SLACK = 64

/** Every so many pieces the node hears that they are durable. */
const ACKNOWLEDGE_EVERY = 256

const isCurrent = ({ machine }: JobActorState, report: { nodeId: string; attempt: number; epoch: number }) =>
  machine.nodeId === report.nodeId &&
  machine.attempt === report.attempt &&
  machine.epoch === report.epoch &&
  (machine.phase === "assigned" || machine.phase === "running" || machine.phase === "grace")

export const onNodePieces = (state: JobActorState, report: Report<"NodePieces">) =>
  Effect.gen(function* () {
    if (!isCurrent(state, report)) return
    const now = yield* Clock.currentTimeMillis
    const before = state.attempt.counted.tokens
    const { news, gap, broken } = take(state, report.pieces, now)
    if (news > 0) {
      state.lastPieceAt = now
      state.attempt.repeats = 0
      yield* noteFirstToken(state, now)
      const { length } = state.feed.events
      const tokens = state.attempt.counted.tokens - before
      yield* apply(state, { _tag: "Tokens", last: length, tokens })
      yield* Metric.update(Metrics.tokens, tokens)
      if (state.tracesOut) publish(state.feed, length)
      yield* storePieces(state)
    }
    const code = broken ?? (news > 0 ? broke(state) : null)
    if (code !== null) return yield* apply(state, { _tag: "AttemptFailed", code, fault: "node" })
    if (gap) yield* askAgain(state)
  })

interface Taken {
  readonly news: number
  /** A piece is further ahead. */
  readonly gap: boolean
  /** What no node may send. */
  readonly broken: string | null
}

/** Appends what follows on from what is there; a piece further ahead is a gap. */
const take = (state: JobActorState, pieces: ReadonlyArray<Piece>, now: number): Taken => {
  const { feed, attempt } = state
  const offsetMs = Math.max(0, now - attempt.assignedAt)
  let news = 0
  for (const piece of pieces) {
    const next = feed.events.length + 1
    if (piece.seq < next) continue
    if (piece.seq > next) return { news, gap: true, broken: null }
    // Whoever takes embeddings over makes them all again.
    if (state.job.endpoint !== "embeddings" && state.over.has(piece.choice))
      return { news, gap: false, broken: "finished_choice" }
    const event: TokenEvent = { ...piece, offsetMs }
    feed.events.push(event)
    if (piece.finish !== undefined) state.over.add(piece.choice)
    attempt.hash?.add(piece)
    attempt.counted = addPiece(attempt.counted, piece)
    state.outputBytes += piece.text.length + (piece.extra === undefined ? 0 : JSON.stringify(piece.extra).length)
    news += 1
  }
  return { news, gap: false, broken: null }
}

/** The choices that have said their last piece. */
export const finishedIn = (events: ReadonlyArray<TokenEvent>): Set<number> =>
  new Set(events.flatMap(({ choice, finish }) => (finish === undefined ? [] : [choice])))

const broke = ({ machine, job, outputBytes, feed }: JobActorState): string | null => {
  if (outputBytes > OUTPUT_BYTES_MAX) return "output_too_large"
  const last = feed.events.at(-1)
  if (last !== undefined && last.choice >= job.choices) return "unknown_choice"
  const bound = job.outputTokensMax * COUNT_FACTOR + COUNT_SLACK
  return job.endpoint !== "embeddings" && machine.tokens > bound ? "too_many_tokens" : null
}

const noteFirstToken = (state: JobActorState, now: number) =>
  Effect.suspend(() => {
    state.attempt.firstTokenAt ??= now
    if (state.firstTokenAt !== null) return Effect.void
    state.firstTokenAt = now
    return Metric.update(Metrics.firstTokenMs, now - state.job.acceptedAt)
  })

/** Asks the node to go on from the first piece that is not here. */
export const reattachAgain = (state: JobActorState) => {
  const { nodeId } = state.machine
  return nodeId === null
    ? Effect.void
    : perform(state, { _tag: "Reattach", nodeId, fromSeq: state.feed.events.length + 1 })
}

/** A node that speaks of pieces which it never sends would be asked for them for ever. */
const REPEATS_MAX = 8

const askAgain = (state: JobActorState) => {
  state.attempt.repeats += 1
  return state.attempt.repeats > REPEATS_MAX
    ? apply(state, { _tag: "AttemptFailed", code: "pieces_missing", fault: "node" })
    : reattachAgain(state)
}

/** One batch is on its way to the trace store at a time; the answer starts the next. */
export const storePieces = (state: JobActorState): Effect.Effect<void> => {
  const { feed, stored, storing, house, job, machine } = state
  if (storing || stored >= feed.events.length) return Effect.void
  state.storing = true
  const events = feed.events.slice(stored, stored + STORE_PIECES_MAX)
  const last = stored + events.length
  const { nodeId, attempt } = machine
  if (nodeId !== null && Math.floor(last / ACKNOWLEDGE_EVERY) > Math.floor(stored / ACKNOWLEDGE_EVERY)) {
    tellNode(state, nodeId, { _tag: "Stored", jobId: job.id, attempt, seq: stored })
  }
  return state.self.fork(house.traces.append({ jobId: job.id, epoch: machine.epoch, attempt, events }), (exit) => ({
    _tag: "PiecesStored",
    epoch: machine.epoch,
    last,
    exit
  }))
}

export const onNodeResult = (state: JobActorState, told: Report<"NodeResult">) =>
  Effect.gen(function* () {
    const { nodeId, result } = told
    if (!isCurrent(state, { ...result, nodeId })) return
    const { attempt, feed } = state
    if (result.lastSeq > feed.events.length) return yield* askAgain(state)
    const matches =
      result.lastSeq === feed.events.length &&
      result.firstSeq === attempt.firstSeq &&
      attempt.hash !== null &&
      attempt.hash.digest() === result.piecesSha256 &&
      answersWhatWasAsked(state, result)
    if (!matches) {
      yield* raise(
        state,
        "result_mismatch",
        "high",
        { firstSeq: result.firstSeq, lastSeq: result.lastSeq },
        {
          firstSeq: attempt.firstSeq,
          lastSeq: feed.events.length
        }
      )
      return yield* apply(state, { _tag: "AttemptFailed", code: "result_mismatch", fault: "node" })
    }
    yield* accept(state, told)
    const { promptTokens, outputTokens } = result
    yield* apply(state, { _tag: "Result", last: result.lastSeq, promptTokens, outputTokens })
  })

/** What is charged follows from what the server counted; the node's figures are taken where they are plausible. */
const accept = (state: JobActorState, told: Report<"NodeResult">) =>
  Effect.gen(function* () {
    const { job, attempt, machine } = state
    const { result } = told
    const earlier = machine.tokens - attempt.counted.tokens
    const output = reconcile({
      claimed: result.outputTokens,
      counted: attempt.counted,
      choices: job.choices,
      max: Math.max(0, job.outputTokensMax - earlier)
    })
    // A runtime counts what was said before an attempt as prompt; that was charged as output already.
    const promptClaimed = result.promptTokens > earlier ? result.promptTokens - earlier : result.promptTokens
    const prompt = reconcilePrompt(promptClaimed, job.promptTokensMax)
    state.result = {
      promptTokens: prompt.tokens,
      outputTokens: earlier + output.tokens,
      gpu: result.gpu ?? null,
      claim: {
        promptTokens: result.promptTokens,
        outputTokens: result.outputTokens,
        countedTokens: attempt.counted.tokens,
        outputBytes: bytesFrom(state.feed.events, attempt.firstSeq)
      },
      proof: proofOf(told)
    }
    if (!output.suspicious && !prompt.suspicious) return
    state.suspicious = true
    yield* raise(
      state,
      "token_count_mismatch",
      "medium",
      { promptTokens: result.promptTokens, outputTokens: result.outputTokens },
      { promptTokensMax: job.promptTokensMax, outputTokens: attempt.counted.tokens }
    )
  })

const bytesFrom = (events: ReadonlyArray<TokenEvent>, firstSeq: number): number =>
  events.slice(firstSeq - 1).reduce((sum, { text }) => sum + Buffer.byteLength(text, "utf8"), 0)

export const proofOf = ({ result, vouch }: Report<"NodeResult">): NodeProof => {
  const { signature } = result
  return { result: { claim: claimOf(result), sessionKey: vouch.claim.sessionKey, signature }, session: vouch }
}

/** The node is back with the attempt: go on with it if it is still the one, or let the node forget it. */
export const onNodeHolds = (state: JobActorState, { nodeId, attempt }: Report<"NodeHolds">) => {
  const { machine, job } = state
  const ours = machine.nodeId === nodeId && machine.attempt === attempt
  // An attempt that is being taken over is asked for once the row is ours; while a new one is being claimed every held one is an old one.
  if (machine.phase === "new" || (machine.phase === "claiming" && machine.adopting && ours)) return Effect.void
  // Also of a job that settled before its record was written: the node keeps its result until then.
  const isEnding = machine.phase === "recording" || machine.phase === "settling" || state.parting.length > 0
  if (ours && isEnding) return Effect.void
  if (ours && isCurrent(state, { nodeId, attempt, epoch: machine.epoch })) return reattachAgain(state)
  return Effect.sync(
    () => void tellNode(state, nodeId, { _tag: "SettleAttempt", jobId: job.id, attempt, status: "stale" })
  )
}

/** It was told to go on. After a death of ours the beginning of the attempt is the node's word, and the hash is made again from there. */
export const onNodeResumed = (state: JobActorState, { nodeId, firstSeq }: Report<"NodeResumed">) =>
  Effect.gen(function* () {
    const { attempt, feed } = state
    state.lastPieceAt = yield* Clock.currentTimeMillis
    if (attempt.hash === null && firstSeq >= 1 && firstSeq <= feed.events.length + 1) {
      const hash = piecesHash(saltOf(state.record))
      const pieces = feed.events.slice(firstSeq - 1)
      for (const { offsetMs: _offset, ...piece } of pieces) hash.add(piece)
      state.attempt = {
        ...attempt,
        firstSeq,
        assignedAt: state.routing.assignedAt ?? state.lastPieceAt,
        hash,
        counted: measureOutput(pieces)
      }
      yield* Metric.update(Metrics.adoptions, 1)
    }
    yield* apply(state, { _tag: "NodeBack", nodeId })
  })

/** Every choice has said its last piece: there is nothing left that another node could go on with. */
export const isWhole = ({ over, job }: JobActorState): boolean => over.size >= job.choices

/** Ends a whole answer whose signed result is lost with its node: charged by the server's own count, and nothing for the prompt. */
export const completeWhole = (state: JobActorState): Effect.Effect<void, unknown> => {
  // The result came before its node was lost: it stands, in the record already.
  if (state.result !== null) return Effect.void
  const outputTokens = Math.min(state.machine.tokens, state.job.outputTokensMax)
  state.result = { promptTokens: 0, outputTokens, gpu: null, claim: null, proof: null }
  return apply(state, { _tag: "Result", last: state.feed.events.length, promptTokens: 0, outputTokens })
}
