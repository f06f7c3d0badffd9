/**
 * Text from an agent to a numbered frame. Pieces of output, which come by the thousand, are checked by hand; every other frame by its
 * schema. Both refuse the same things, and a property test holds them together.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { FRAME_PIECES_MAX, NumberedAgentFrame, type AgentFrame, type Piece } from "../../schemas/AgentFrame.ts"
import { JobId } from "../../schemas/Ids.ts"
import { FinishReason } from "../../schemas/TokenEvent.ts"

export type NumberedFrame = typeof NumberedAgentFrame.Type

const decodeBySchema = Schema.decodeUnknownResult(NumberedAgentFrame)
const isJobId = Schema.is(JobId)
const FINISH: ReadonlySet<unknown> = new Set(FinishReason.literals)

/** null: this is no frame of the protocol. */
export const decodeAgentFrame = (text: string): NumberedFrame | null => {
  const value = parse(text)
  if (!isFields(value)) return null
  const { n, frame } = value
  if (isFields(frame) && frame["_tag"] === "Pieces" && isInt(n)) {
    const pieces = piecesFrame(frame)
    return pieces === null ? null : { n, frame: pieces }
  }
  const decoded = decodeBySchema(value)
  return Result.isSuccess(decoded) ? decoded.success : null
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const piecesFrame = (frame: Record<string, unknown>): AgentFrame | null => {
  const { jobId, attempt, epoch, pieces } = frame
  if (!isJobId(jobId) || !isInt(attempt) || !isInt(epoch) || !Array.isArray(pieces)) return null
  if (pieces.length === 0 || pieces.length > FRAME_PIECES_MAX) return null
  return pieces.every(isPiece) ? { _tag: "Pieces", jobId, attempt, epoch, pieces } : null
}

const isPiece = (value: unknown): value is Piece => {
  if (!isFields(value)) return false
  const { seq, choice, text, extra, finish } = value
  return (
    isInt(seq) &&
    seq >= 1 &&
    isInt(choice) &&
    choice >= 0 &&
    typeof text === "string" &&
    text.isWellFormed() &&
    (!("extra" in value) || isFields(extra)) &&
    (!("finish" in value) || FINISH.has(finish))
  )
}

const isInt = (value: unknown): value is number => Number.isSafeInteger(value)
const isFields = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
