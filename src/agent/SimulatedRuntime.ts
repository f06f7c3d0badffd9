/**
 * A runtime without a model, for a first try, tests and benchmarks. What it says is settled by `SimulatedAnswer`; a
 * character settles how fast, and how often it breaks in the middle: by turns a failed attempt (the job moves on) and a
 * lost session (the agent comes back and goes on). Breaks are drawn from a seed, so a run can be repeated.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { ServedModel } from "../schemas/NodeProfile.ts"
import {
  type Assignment,
  bounded,
  isWellFormed,
  promptTokensGuess,
  type Runtime,
  type RuntimeChunk,
  RuntimeFailed
} from "./Runtime.ts"
import { choicesIn, expectedAnswer, expectedEmbedding, deltasAfter, seeded } from "./SimulatedAnswer.ts"

export interface Character {
  /** For each choice; Infinity sends the answer at once. */
  readonly tokensPerSecond: number
  readonly firstTokenMs: number
  /** Of streams, from 0 to 1, that break in the middle. */
  readonly breaks: number
}

export const CHARACTERS = {
  instant: { tokensPerSecond: Number.POSITIVE_INFINITY, firstTokenMs: 0, breaks: 0 },
  swift: { tokensPerSecond: 240, firstTokenMs: 40, breaks: 0 },
  steady: { tokensPerSecond: 60, firstTokenMs: 150, breaks: 0 },
  flaky: { tokensPerSecond: 80, firstTokenMs: 100, breaks: 0.2 }
} as const satisfies Record<string, Character>
export type CharacterName = keyof typeof CHARACTERS

/** Pieces due within this time travel together. */
const TICK_MS = 20

const MODELS: ReadonlyArray<ServedModel> = [
  { name: "sim-small", endpoints: ["chat", "completions"], canContinue: true, loaded: true },
  { name: "sim-embed", endpoints: ["embeddings"], canContinue: false, loaded: true }
]

export interface SimulatedOptions {
  readonly character: Character
  readonly seed: number
}

export const make = ({ character, seed }: SimulatedOptions): Runtime => {
  const draw = seeded(seed)
  let broken = 0
  const breakOf = (): Break => {
    if (character.breaks <= 0 || draw() >= character.breaks) return "none"
    broken += 1
    return broken % 2 === 1 ? "fail" : "loseSession"
  }
  return {
    name: Effect.succeed("simulated"),
    models: Effect.succeed(MODELS),
    healthy: Effect.succeed(true),
    declines: (assignment) => (isWellFormed(assignment) ? null : "invalid_body"),
    run: (assignment) => Stream.suspend(() => paced(chunksOf(assignment), breakOf(), character))
  }
}

type Break = "none" | "fail" | "loseSession"

const chunksOf = (assignment: Assignment): ReadonlyArray<RuntimeChunk> => {
  const endpoint = assignment.endpoint
  const body = bounded(assignment)
  const choices = Array.from({ length: choicesIn(endpoint, body) }, (_, choice) => choice)
  const prompt = promptTokensGuess(assignment)
  if (endpoint === "embeddings") {
    return [
      ...choices.map((choice): RuntimeChunk => ({
        _tag: "Delta",
        choice,
        text: "",
        extra: { embedding: expectedEmbedding(body, choice) },
        finish: "stop"
      })),
      { _tag: "Usage", promptTokens: prompt, outputTokens: 0 }
    ]
  }
  const answers = choices.map((choice) => expectedAnswer(endpoint, body, choice))
  const { deltas, outputTokens } = deltasAfter(answers, assignment.prefix)
  return [...deltas, { _tag: "Usage", promptTokens: prompt, outputTokens }]
}

/** A batch travels at once, after its pause. */
type Batch = Arr.NonEmptyReadonlyArray<RuntimeChunk> | "break"

const paced = (
  chunks: ReadonlyArray<RuntimeChunk>,
  how: Break,
  { tokensPerSecond, firstTokenMs }: Character
): Stream.Stream<RuntimeChunk, RuntimeFailed> => {
  const instant = !Number.isFinite(tokensPerSecond)
  const size = instant ? chunks.length : Math.max(1, Math.ceil((tokensPerSecond * TICK_MS) / 1000))
  const tickMs = instant ? 0 : (size * 1000) / tokensPerSecond
  const middle = Math.ceil(chunks.length / 2)
  const batches: Array<Batch> =
    how === "none"
      ? cut(chunks, size)
      : [
          ...cut(chunks.slice(0, middle), size),
          ...(how === "fail" ? (["break"] as const) : [[{ _tag: "LoseSession" }] as const]),
          ...cut(chunks.slice(middle), size)
        ]
  return Stream.fromPull(
    Effect.sync(() => {
      let at = 0
      return Effect.suspend((): Pull.Pull<Arr.NonEmptyReadonlyArray<RuntimeChunk>, RuntimeFailed> => {
        const pauseMs = at === 0 ? firstTokenMs : tickMs
        const batch = batches[at++]
        if (batch === undefined) return Cause.done()
        if (batch === "break") return Effect.fail(new RuntimeFailed({ code: "simulated_break", fault: "node" }))
        return pauseMs > 0 ? Effect.as(Effect.sleep(Duration.millis(pauseMs)), batch) : Effect.succeed(batch)
      })
    })
  )
}

const cut = <A>(items: ReadonlyArray<A>, size: number): Array<Arr.NonEmptyReadonlyArray<A>> => {
  const batches: Array<Arr.NonEmptyReadonlyArray<A>> = []
  for (let at = 0; at < items.length; at += size) {
    const batch = items.slice(at, at + size)
    if (Arr.isReadonlyArrayNonEmpty(batch)) batches.push(batch)
  }
  return batches
}
