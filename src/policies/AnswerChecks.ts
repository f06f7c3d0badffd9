/**
 * What can be seen of any answer without knowing what would be right: its structure where one was asked for, its length, its pace against the node's own,
 * the model's confidence where it is known. What nobody can tell is no check. No text leaves here, only names of checks.
 */
import type * as Schema from "effect/Schema"
import type { Check } from "../schemas/Quality.ts"
import { jsonWithin, kindOf } from "./AnswerText.ts"

export interface SeenAnswer {
  /** As it was accepted. */
  readonly request: Schema.Json
  /** The texts of the answer, one a choice; asked for, as the next one, only where the structure is looked at. */
  readonly texts: () => ReadonlyArray<string>
  /** Every choice ended by itself, and was not cut off at its limit. */
  readonly stopped: () => boolean
  readonly outputTokens: number
  readonly outputTokensMax: number
  /** null: too short to tell. */
  readonly tokensPerSecond: number | null
  /** How fast this node was with this model before; null: not known yet. */
  readonly usualTokensPerSecond: number | null
  readonly lowConfidence: boolean | null
}

/** So many times slower or faster than usual is another model, another machine, or no model at all. */
export const PACE_FACTOR = 8

export const checksOf = (seen: SeenAnswer): ReadonlyArray<Check> => {
  const { outputTokens, outputTokensMax, tokensPerSecond: pace, usualTokensPerSecond: usual } = seen
  const checks: Array<Check> = [{ check: "length", ok: outputTokens > 0 && outputTokens <= outputTokensMax }]
  // Cut off at its limit no JSON is whole, and that is the request's fault.
  if (asksForJson(seen.request) && seen.stopped()) {
    checks.push({ check: "structure", ok: seen.texts().every((text) => kindOf(jsonWithin(text)) === "object") })
  }
  if (pace !== null && usual !== null) {
    checks.push({ check: "pace", ok: pace * PACE_FACTOR >= usual && pace <= usual * PACE_FACTOR })
  }
  if (seen.lowConfidence !== null) checks.push({ check: "confidence", ok: !seen.lowConfidence })
  return checks
}

/** `response_format` of type `json_object` or `json_schema`. */
const asksForJson = (request: Schema.Json): boolean => {
  const format = fieldOf(request, "response_format")
  const type = fieldOf(format, "type")
  return type === "json_object" || type === "json_schema"
}

const fieldOf = (value: Schema.Json | undefined, field: string): Schema.Json | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema.JsonObject)[field] : undefined

/** Answers after which a pace is known. */
const PACES_MIN = 8
/** Tokens below which a pace means nothing. */
export const PACED_TOKENS_MIN = 16
const NEWEST_SHARE = 0.1

export interface Pace {
  readonly seen: number
  readonly tokensPerSecond: number
}

export const usualOf = (pace: Pace | undefined): number | null =>
  pace === undefined || pace.seen < PACES_MIN ? null : pace.tokensPerSecond

/** With one more answer. One beyond all bounds moves it no more than one at the bound would. */
export const paceAfter = (pace: Pace | undefined, tokensPerSecond: number): Pace => {
  if (pace === undefined) return { seen: 1, tokensPerSecond }
  const most = pace.tokensPerSecond * PACE_FACTOR
  const told = Math.min(Math.max(tokensPerSecond, pace.tokensPerSecond / PACE_FACTOR), most)
  const share = Math.max(NEWEST_SHARE, 1 / (pace.seen + 1))
  return { seen: pace.seen + 1, tokensPerSecond: (1 - share) * pace.tokensPerSecond + share * told }
}
