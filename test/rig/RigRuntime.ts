/**
 * A runtime without a model for the rig's nodes. Every honest character says the same about the same prompt; the others fail in the middle, fall silent,
 * lose their session, count tokens that they never made, or say something else.
 */
import { Effect, Stream } from "effect"
import {
  type Assignment,
  bounded,
  isWellFormed,
  promptTokensGuess,
  type Runtime,
  type RuntimeChunk,
  RuntimeFailed
} from "../../src/agent/Runtime.ts"
import { deltasAfter } from "../../src/agent/SimulatedAnswer.ts"
import type { Dice } from "../chaos/support/Dice.ts"
import { canaryIn, rigAnswer } from "./RigAnswer.ts"

export type CharacterName =
  | "swift"
  | "steady"
  | "slow"
  | "crashing"
  | "stalling"
  | "lossy"
  | "miscounting"
  | "garbling"
  | "repeating"

interface Character {
  readonly tokensPerSecond: number
  readonly firstTokenMs: number
}

const PACES: Readonly<Record<CharacterName, Character>> = {
  swift: { tokensPerSecond: 400, firstTokenMs: 20 },
  steady: { tokensPerSecond: 120, firstTokenMs: 80 },
  slow: { tokensPerSecond: 25, firstTokenMs: 400 },
  crashing: { tokensPerSecond: 200, firstTokenMs: 40 },
  stalling: { tokensPerSecond: 200, firstTokenMs: 40 },
  lossy: { tokensPerSecond: 150, firstTokenMs: 40 },
  miscounting: { tokensPerSecond: 300, firstTokenMs: 20 },
  garbling: { tokensPerSecond: 300, firstTokenMs: 20 },
  repeating: { tokensPerSecond: 200, firstTokenMs: 40 }
}

/** How often a character does what it is named for. */
const MISCHIEF: Readonly<Partial<Record<CharacterName, number>>> = {
  crashing: 0.25,
  stalling: 0.1,
  lossy: 0.2,
  miscounting: 0.5,
  garbling: 0.5
}
const TICK_MS = 40
const MODEL = "sim-small"

/** An assignment as it truly arrives: with the ids that a runtime does not ask for. */
export type Assigned = Assignment & { readonly jobId: string; readonly attempt: number; readonly epoch: number }

export interface Told {
  readonly began: (assigned: Assigned) => void
  readonly said: (assigned: Assigned, pieces: number, lied: boolean) => void
  readonly over: (assigned: Assigned) => void
}

export const rigRuntime = (character: CharacterName, dice: Dice, told: Told): Runtime => ({
  name: Effect.succeed("rig"),
  models: Effect.succeed([{ name: MODEL, endpoints: ["chat"], canContinue: true, loaded: true }]),
  healthy: Effect.succeed(true),
  declines: (assignment) => (isWellFormed(assignment) ? null : "invalid_body"),
  run: (assignment) =>
    Stream.suspend(() => {
      const assigned = assignment as Assigned
      // A test of a node carries no canary, and everybody behaves in tests.
      const mischief = canaryIn(assigned.body) !== null && dice.chance(MISCHIEF[character] ?? 0)
      told.began(assigned)
      return paced(scriptOf(assigned, mischief ? character : null, dice), PACES[character], (pieces) =>
        told.said(assigned, pieces, mischief && (character === "garbling" || character === "miscounting"))
      ).pipe(Stream.ensuring(Effect.sync(() => told.over(assigned))))
    })
})

type Step = RuntimeChunk | "fail" | "silence"

const scriptOf = (assigned: Assigned, mischief: CharacterName | null, dice: Dice): ReadonlyArray<Step> => {
  const steps: Array<Step> = honest(assigned)
  const middle = Math.floor(steps.length * dice.next())
  switch (mischief) {
    case "crashing":
      return [...steps.slice(0, middle), "fail"]
    case "stalling":
      return [...steps.slice(0, middle), "silence"]
    case "lossy":
      return [...steps.slice(0, middle), { _tag: "LoseSession" }, ...steps.slice(middle)]
    case "miscounting":
      return steps.map((step) =>
        typeof step === "object" && step._tag === "Usage"
          ? { ...step, outputTokens: dice.pick([0, 5, 100_000, 1_000_000_000]) }
          : step
      )
    case "garbling":
      return steps.map((step) =>
        typeof step === "object" && step._tag === "Delta" && step.text !== ""
          ? { ...step, text: ` lie${dice.between(0, 999)}` }
          : step
      )
    default:
      return steps
  }
}

const honest = (assignment: Assignment): Array<Step> => {
  const body = bounded(assignment)
  const n = body["n"]
  const choices = Array.from({ length: typeof n === "number" ? n : 1 }, (_, choice) => choice)
  const { deltas, outputTokens } = deltasAfter(
    choices.map((choice) => rigAnswer(body, choice)),
    assignment.prefix
  )
  return [...deltas, { _tag: "Usage", promptTokens: promptTokensGuess(assignment), outputTokens }]
}

const broken = new RuntimeFailed({ code: "rig_crash", fault: "node" })

const paced = (
  steps: ReadonlyArray<Step>,
  { tokensPerSecond, firstTokenMs }: Character,
  said: (pieces: number) => void
): Stream.Stream<RuntimeChunk, RuntimeFailed> => {
  const size = Math.max(1, Math.round((tokensPerSecond * TICK_MS) / 1000))
  const tickMs = (size * 1000) / tokensPerSecond
  const batches: Array<ReadonlyArray<Step>> = []
  for (let at = 0; at < steps.length; at += size) batches.push(steps.slice(at, at + size))
  let pieces = 0
  return Stream.fromIterable(batches.entries()).pipe(
    Stream.mapEffect(([at, batch]) =>
      Effect.gen(function* () {
        yield* Effect.sleep(at === 0 ? firstTokenMs : tickMs)
        const chunks = batch.filter((step) => typeof step === "object")
        pieces += chunks.filter(({ _tag }) => _tag === "Delta").length
        said(pieces)
        return { chunks, last: batch.find((step) => typeof step === "string") }
      })
    ),
    Stream.flatMap(({ chunks, last }) => {
      const spoken = Stream.fromIterable(chunks)
      if (last === "fail") return Stream.concat(spoken, Stream.fail(broken))
      return last === "silence" ? Stream.concat(spoken, Stream.never) : spoken
    })
  )
}
