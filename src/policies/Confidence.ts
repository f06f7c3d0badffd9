/**
 * How sure a model was of what it said, where its runtime tells: the geometric mean of the probabilities of an answer's tokens. Of several answers the
 * least sure one counts. Without log probabilities nobody can tell, and that is another thing than being sure.
 */
import type * as Schema from "effect/Schema"
import type { TokenEvent } from "../schemas/TokenEvent.ts"

type Piece = Pick<TokenEvent, "choice" | "extra">

const isFields = (value: Schema.Json | undefined): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)
const listOf = (value: Schema.Json | undefined): Schema.JsonArray => (Array.isArray(value) ? value : [])

/** What a probability's logarithm can be; a node may write anything. */
const isLogprob = (value: Schema.Json | undefined): value is number =>
  typeof value === "number" && Number.isFinite(value) && value <= 0

/** Of chat (`content` with a `logprob` each) and of completions (`token_logprobs`, the first of which may be null). */
const logprobsOf = ({ extra }: Piece): ReadonlyArray<number> => {
  const logprobs = extra?.["logprobs"]
  if (!isFields(logprobs)) return []
  const chat = listOf(logprobs["content"]).map((token) => (isFields(token) ? token["logprob"] : undefined))
  return [...chat, ...listOf(logprobs["token_logprobs"])].filter(isLogprob)
}

/** 0 to 1; null: no runtime said. */
export const confidenceOf = (pieces: Iterable<Piece>): number | null => {
  const sums = new Map<number, { sum: number; tokens: number }>()
  for (const piece of pieces) {
    for (const logprob of logprobsOf(piece)) {
      const known = sums.get(piece.choice) ?? { sum: 0, tokens: 0 }
      sums.set(piece.choice, { sum: known.sum + logprob, tokens: known.tokens + 1 })
    }
  }
  const means = [...sums.values()].map(({ sum, tokens }) => Math.exp(sum / tokens))
  return means.length === 0 ? null : Math.min(...means)
}

export const isLowConfidence = (pieces: Iterable<Piece>, least: number): boolean | null => {
  const confidence = confidenceOf(pieces)
  return confidence === null ? null : confidence < least
}
