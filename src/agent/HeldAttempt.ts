/**
 * One attempt as its agent keeps it: every piece that was said, as the text it is hashed and sent in, until the daemon
 * says that the result is settled. Knows what was sent in the present session; knows nothing of sockets and runtimes.
 */
import type { DaemonFrame, ResultClaim } from "../schemas/AgentFrame.ts"
import { FRAME_BYTES_MAX, FRAME_PIECES_MAX } from "../schemas/AgentFrame.ts"
import type { JobId } from "../schemas/Ids.ts"
import { canonicalPiece, type PiecesHash, piecesHash, requestSha256 } from "../layers/Signatures.ts"
import type { Delta } from "./Runtime.ts"

/** Longer texts are cut into several pieces (UTF-16 code units). */
const TEXT_MAX = 16_384
/** Room for a frame's number, tag and ids beside its pieces. */
const FRAME_HEAD_BYTES = 512
const PIECE_BYTES_MAX = FRAME_BYTES_MAX - FRAME_HEAD_BYTES
/** Frames stay well below what a daemon accepts, so that a slow socket is noticed between two of them. */
const FRAME_BYTES_AIM = 128 * 1024

export type AttemptEnd =
  | { readonly _tag: "Succeeded"; readonly promptTokens: number; readonly outputTokens: number }
  | { readonly _tag: "Failed"; readonly code: string; readonly fault: "node" | "job" }

export interface HeldAttempt {
  readonly jobId: JobId
  readonly attempt: number
  epoch: number
  readonly model: string
  readonly requestSha256: string
  readonly firstSeq: number
  /** By this agent's clock, epoch ms. */
  readonly deadlineAt: number
  readonly hash: PiecesHash
  /** Pieces from number `keptFrom` on, as canonical JSON. */
  pieces: Array<string>
  keptFrom: number
  /** Characters in `pieces`. */
  size: number
  /** Number of the next piece to be said, and of the next to be sent. */
  nextSeq: number
  sendSeq: number
  /** Pieces with text, for a runtime that does not count. */
  spoken: number
  /** Whether the daemon of this session knows of the attempt: it assigned or resumed it. */
  attached: boolean
  durableSeq: number
  end: AttemptEnd | null
  /** Number of the frame that told the end in this session. */
  endFrame: number | null
  stop: () => void
}

type Assign = Extract<DaemonFrame, { readonly _tag: "Assign" }>

export const hold = (frame: Assign, now: number): HeldAttempt => ({
  jobId: frame.jobId,
  attempt: frame.attempt,
  epoch: frame.epoch,
  model: typeof frame.body["model"] === "string" ? frame.body["model"] : "",
  requestSha256: requestSha256(frame.salt, frame.endpoint, frame.body),
  firstSeq: frame.firstSeq,
  deadlineAt: now + frame.deadlineMs,
  hash: piecesHash(frame.salt),
  pieces: [],
  keptFrom: frame.firstSeq,
  size: 0,
  nextSeq: frame.firstSeq,
  sendSeq: frame.firstSeq,
  spoken: 0,
  attached: true,
  durableSeq: frame.firstSeq - 1,
  end: null,
  endFrame: null,
  stop: () => undefined
})

/** Adds what the runtime said; false when a single piece is too big for any frame. */
export const append = (held: HeldAttempt, { choice, text, extra, finish }: Delta): boolean => {
  let rest = text
  while (rest.length > TEXT_MAX) {
    const at = cutPoint(rest)
    add(held, canonicalPiece({ seq: held.nextSeq, choice, text: rest.slice(0, at) }))
    rest = rest.slice(at)
  }
  if (rest !== "") held.spoken += 1
  const news = { ...(extra === undefined ? {} : { extra }), ...(finish === undefined ? {} : { finish }) }
  const piece = canonicalPiece({ seq: held.nextSeq, choice, text: rest, ...news })
  if (piece.length * 3 > PIECE_BYTES_MAX && Buffer.byteLength(piece) > PIECE_BYTES_MAX) return false
  add(held, piece)
  return true
}

/** Not between the two halves of a surrogate pair. */
const cutPoint = (text: string): number => {
  const code = text.charCodeAt(TEXT_MAX - 1)
  return code >= 0xd800 && code <= 0xdbff ? TEXT_MAX - 1 : TEXT_MAX
}

const add = (held: HeldAttempt, piece: string): void => {
  held.hash.addCanonical(piece)
  held.pieces.push(piece)
  held.size += piece.length
  held.nextSeq += 1
}

/** The next `Pieces` frame to send, as JSON; the attempt counts it as sent. Call it only when something is unsent. */
export const takePiecesFrame = (held: HeldAttempt): string => {
  const from = held.sendSeq - held.keptFrom
  let to = from
  let bytes = 0
  while (to < held.pieces.length && to - from < FRAME_PIECES_MAX) {
    bytes += Buffer.byteLength(held.pieces[to] ?? "") + 1
    if (to > from && bytes > FRAME_BYTES_AIM) break
    to += 1
  }
  held.sendSeq = held.keptFrom + to
  const pieces = held.pieces.slice(from, to).join(",")
  return `{"_tag":"Pieces",${ids(held)},"pieces":[${pieces}]}`
}

const ids = ({ jobId, attempt, epoch }: HeldAttempt): string =>
  `"jobId":${JSON.stringify(jobId)},"attempt":${attempt},"epoch":${epoch}`

/** What the session's key signs, under the epoch that is current now. */
export const resultClaim = (
  held: HeldAttempt,
  { promptTokens, outputTokens }: Extract<AttemptEnd, { readonly _tag: "Succeeded" }>
): ResultClaim => ({
  domain: "resultity/result/v2",
  jobId: held.jobId,
  attempt: held.attempt,
  epoch: held.epoch,
  model: held.model,
  requestSha256: held.requestSha256,
  firstSeq: held.firstSeq,
  lastSeq: held.nextSeq - 1,
  promptTokens,
  outputTokens,
  piecesSha256: held.hash.digest()
})

/** Starts sending again at `fromSeq` under `epoch`; false when those pieces are not there (any more, or yet). */
export const rewind = (held: HeldAttempt, epoch: number, fromSeq: number): boolean => {
  held.epoch = epoch
  held.attached = true
  held.endFrame = null
  const there = fromSeq >= held.keptFrom && fromSeq <= held.nextSeq
  held.sendSeq = there ? fromSeq : held.nextSeq
  return there
}

/** Forgets pieces that are durable elsewhere and were sent; the characters that became free. */
export const dropDurable = (held: HeldAttempt): number => {
  const count = Math.max(0, Math.min(held.durableSeq + 1, held.sendSeq) - held.keptFrom)
  const freed = held.pieces.splice(0, count).reduce((sum, piece) => sum + piece.length, 0)
  held.keptFrom += count
  held.size -= freed
  return freed
}
