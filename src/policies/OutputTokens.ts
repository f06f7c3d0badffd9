/**
 * How many tokens an answer has, by what the server saw of it, and whether a node's claim fits that.
 *
 * Pieces are not tokens: a runtime may send many tokens in one piece or cut one token into many, so the count is a floor by pieces and
 * bytes, and plausibility a ceiling: a small piece is a few tokens at most, a big one at most its bytes. Both are sums
 * over pieces: an actor adds them up as they come, and after a crash again from the traces, with the same result.
 */
import type * as Schema from "effect/Schema"
import type { TokenEvent } from "../schemas/TokenEvent.ts"

type Piece = Pick<TokenEvent, "text" | "extra">

export interface OutputCount {
  /** What the server counts. */
  readonly tokens: number
  /** The most tokens that these pieces can honestly be, without what a runtime hides. */
  readonly plausible: number
}

/** Bytes of one piece from which it is taken for many tokens. */
export const PIECE_BYTES_SMALL = 16
/** Tokens that a small piece may be. */
export const SMALL_PIECE_TOKENS_MAX = 4
/** Tokens of a choice that a runtime makes and does not show: its end, channel markers, the matched stop words. */
export const HIDDEN_TOKENS_PER_CHOICE = 4

/** Within a tool call only these were generated; its id, type and index are the runtime's. */
const GENERATED: ReadonlySet<string> = new Set(["name", "arguments"])

export const noOutput: OutputCount = { tokens: 0, plausible: 0 }

/** The count with one more piece. */
export const addPiece = (count: OutputCount, piece: Piece): OutputCount => {
  const spoken = utf8(piece.text) + spokenBytes(piece)
  if (spoken === 0) return count
  // A tool call is generated with markers and JSON around it that the runtime parses away, so its envelope is plausible and not counted.
  const shown = utf8(piece.text) + shownBytes(piece)
  return {
    tokens: count.tokens + Math.ceil(spoken / PIECE_BYTES_SMALL),
    plausible: count.plausible + (shown > PIECE_BYTES_SMALL ? shown : Math.min(shown, SMALL_PIECE_TOKENS_MAX))
  }
}

export const measureOutput = (pieces: Iterable<Piece>): OutputCount => {
  let count = noOutput
  for (const piece of pieces) count = addPiece(count, piece)
  return count
}

/** What the server counts: one token for each piece that says something, more for a big one. */
export const countOutput = (pieces: Iterable<Piece>): number => measureOutput(pieces).tokens

export interface Claim {
  /** What the node says. */
  readonly claimed: number
  readonly counted: OutputCount
  readonly choices: number
  /** What the job may have at most. */
  readonly max: number
}

/** `suspicious`: the node claimed more than the answer can hold; an incident, but one is no proof. */
export interface Reconciled {
  readonly tokens: number
  readonly suspicious: boolean
}

/**
 * The tokens to charge. A plausible claim stands, also one below our count: the runtime has the tokenizer and the node the
 * loss. An implausible one is replaced by our count, not cut down to the ceiling, so that claiming too much never pays. Never above `max`.
 */
export const reconcile = ({ claimed, counted, choices, max }: Claim): Reconciled => {
  const plausible = counted.plausible + HIDDEN_TOKENS_PER_CHOICE * choices
  return claimed <= max && claimed <= plausible
    ? { tokens: claimed, suspicious: false }
    : { tokens: Math.min(counted.tokens, max), suspicious: true }
}

/** A node's claim for the prompt: nothing but the bound is known of it, so the bound is also the most it can be. */
export const reconcilePrompt = (claimed: number, max: number): Reconciled => ({
  tokens: Math.min(claimed, max),
  suspicious: claimed > max
})

/** What a model says outside of the text. Other fields (embedding, logprobs, role) are not output tokens. */
const spokenFields = ({ extra }: Piece): ReadonlyArray<Schema.Json> => {
  if (extra === undefined) return []
  // Some runtimes send the same reasoning under both of its names.
  const reasoning = extra["reasoning_content"] ?? extra["reasoning"]
  return [reasoning, extra["refusal"], extra["tool_calls"], extra["function_call"]].filter(
    (value) => value !== undefined && value !== null
  )
}

const spokenBytes = (piece: Piece): number =>
  spokenFields(piece).reduce<number>((sum, value) => sum + generatedBytes(value), 0)

const generatedBytes = (value: Schema.Json): number => {
  if (typeof value === "string") return utf8(value)
  if (typeof value !== "object" || value === null) return 0
  if (isArray(value)) return value.reduce<number>((sum, item) => sum + generatedBytes(item), 0)
  return Object.entries(value).reduce(
    (sum, [field, item]) => sum + (typeof item === "object" || GENERATED.has(field) ? generatedBytes(item) : 0),
    0
  )
}

const shownBytes = (piece: Piece): number =>
  spokenFields(piece).reduce<number>(
    (sum, value) => sum + utf8(typeof value === "string" ? value : JSON.stringify(value)),
    0
  )

const utf8 = (text: string): number => Buffer.byteLength(text, "utf8")
const isArray = (value: Schema.Json): value is Schema.JsonArray => Array.isArray(value)
