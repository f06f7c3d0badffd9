/**
 * What every simulated runtime answers: a function of endpoint, model, prompt, seed and choice and of nothing else, so
 * any node gives the same text, can go on from any beginning of it, and a test can say beforehand what must come out.
 * One word is one token is one piece. `max_tokens`, `stop`, `n` and `min_tokens` (for long answers) are honoured.
 */
import type * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import type { Endpoint } from "../schemas/Job.ts"
import type { ChoiceText, FinishReason } from "../schemas/TokenEvent.ts"
import { choicesOf, type RuntimeChunk, tokensAsked } from "./Runtime.ts"

export interface Answer {
  readonly text: string
  /** The text in the pieces it is sent in. */
  readonly pieces: ReadonlyArray<string>
  readonly finish: FinishReason
}

const WORDS = (
  "amber anchor beacon birch bridge bright canyon cedar circle clear cloud copper coral crystal current dawn delta " +
  "distant early ember evening field forest gentle glacier golden granite harbor hidden hollow horizon island juniper " +
  "lantern ledger lively marble meadow mellow morning mountain narrow northern ocean orchard patient pebble quiet rapid " +
  "river sandy shadow silver slender southern spring steady summer timber valley velvet willow winter"
).split(" ")
const WORDS_MIN = 24
const WORDS_SPREAD = 48
export const DIMENSIONS = 64

/** The whole answer of this choice, whoever gives it and however often it was handed over. */
export const expectedAnswer = (endpoint: Endpoint, body: Schema.JsonObject, choice: number): Answer => {
  const draw = randomFrom({
    endpoint,
    model: body["model"] ?? null,
    seed: body["seed"] ?? null,
    ask: ask(body, choice)
  })
  const least = body["min_tokens"]
  const natural = Math.max(WORDS_MIN + Math.floor(draw() * WORDS_SPREAD), typeof least === "number" ? least : 0)
  const most = tokensAsked(body) ?? Number.POSITIVE_INFINITY
  const count = Math.min(natural, most)
  const pieces = Array.from(
    { length: count },
    (_, at) => `${at === 0 ? "" : " "}${WORDS[Math.floor(draw() * WORDS.length)]}`
  )
  return cutAtStop({ text: pieces.join(""), pieces, finish: natural > most ? "length" : "stop" }, stopsOf(body))
}

/** What of the answer is left to say after `prefix`. A beginning that is not this answer's counts by its words. */
export const restAfter = (answer: Answer, prefix: string): ReadonlyArray<string> => {
  if (!answer.text.startsWith(prefix)) return answer.pieces.slice(prefix.split(" ").length)
  const rest: Array<string> = []
  let at = 0
  for (const piece of answer.pieces) {
    const left = piece.slice(Math.max(0, prefix.length - at))
    if (left !== "") rest.push(left)
    at += piece.length
  }
  return rest
}

/** What is left to say of all choices, a piece of each in turn. A choice that has said its last piece says no more. */
export const deltasAfter = (
  answers: ReadonlyArray<Answer>,
  prefix: ReadonlyArray<ChoiceText>
): { readonly deltas: ReadonlyArray<RuntimeChunk>; readonly outputTokens: number } => {
  const said = new Map(prefix.map((one) => [one.choice, one]))
  const open = answers.flatMap((answer, choice) =>
    said.get(choice)?.finished === true
      ? []
      : [{ choice, finish: answer.finish, rest: restAfter(answer, said.get(choice)?.text ?? "") }]
  )
  const longest = Math.max(...open.map(({ rest }) => rest.length))
  const deltas: Array<RuntimeChunk> = []
  for (let at = 0; at <= longest; at++) {
    for (const { choice, finish, rest } of open) {
      const text = rest[at]
      if (text !== undefined) deltas.push({ _tag: "Delta", choice, text })
      else if (at === rest.length) deltas.push({ _tag: "Delta", choice, text: "", finish })
    }
  }
  return { deltas, outputTokens: open.reduce((sum, { rest }) => sum + rest.length, 0) }
}

/** How many choices the answer has: `n` for each prompt, or one for each input of an embeddings job. */
export const choicesIn = (endpoint: Endpoint, body: Schema.JsonObject): number => {
  if (endpoint === "embeddings") return inputsOf(body).length
  return choicesOf(body) * (endpoint === "completions" ? promptsOf(body).length : 1)
}

/** The unit vector of this input, and its base64 form (little-endian float32) when the body asks for it. */
export const expectedEmbedding = (body: Schema.JsonObject, choice: number): ReadonlyArray<number> | string => {
  const draw = randomFrom({ model: body["model"] ?? null, input: inputsOf(body)[choice] ?? null })
  const raw = Array.from({ length: DIMENSIONS }, () => draw() * 2 - 1)
  const norm = Math.sqrt(raw.reduce((sum, value) => sum + value * value, 0)) || 1
  const unit = Float32Array.from(raw, (value) => value / norm)
  return body["encoding_format"] === "base64" ? Buffer.from(unit.buffer).toString("base64") : [...unit]
}

const promptsOf = (body: Schema.JsonObject): ReadonlyArray<Schema.Json> => listed(body["prompt"])
const inputsOf = (body: Schema.JsonObject): ReadonlyArray<Schema.Json> => listed(body["input"])

/** A string or an array of token ids is one prompt; any other array is a prompt for each member. */
const listed = (value: Schema.Json | undefined): ReadonlyArray<Schema.Json> =>
  Array.isArray(value) && typeof value[0] !== "number" ? value : [value ?? null]

const ask = (body: Schema.JsonObject, choice: number): Schema.Json => {
  if (body["messages"] !== undefined) return [body["messages"], choice]
  const n = choicesOf(body)
  return [promptsOf(body)[Math.floor(choice / n)] ?? null, choice % n]
}

const stopsOf = (body: Schema.JsonObject): ReadonlyArray<string> =>
  listed(body["stop"]).filter((stop) => typeof stop === "string" && stop !== "") as ReadonlyArray<string>

const cutAtStop = (answer: Answer, stops: ReadonlyArray<string>): Answer => {
  const found = stops.map((stop) => answer.text.indexOf(stop)).filter((at) => at >= 0)
  if (found.length === 0) return answer
  const end = Math.min(...found)
  const pieces: Array<string> = []
  let at = 0
  for (const piece of answer.pieces) {
    const kept = piece.slice(0, Math.max(0, end - at))
    if (kept !== "") pieces.push(kept)
    at += piece.length
  }
  return { text: answer.text.slice(0, end), pieces, finish: "stop" }
}

const randomFrom = (what: Schema.Json): (() => number) =>
  seeded(createHash("sha256").update(canonicalJson(what)).digest().readUInt32LE(0))

/** Numbers from 0 to below 1 that follow from the seed alone (the "mulberry32" generator). */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
