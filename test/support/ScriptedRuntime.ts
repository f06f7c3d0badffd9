/**
 * A runtime that says what the test tells it to, when it tells it to, and says back when the agent has taken it.
 */
import { Cause, Effect, Stream } from "effect"
import { type Assignment, type Runtime, type RuntimeChunk, RuntimeFailed } from "../../src/agent/Runtime.ts"
import type { ServedModel } from "../../src/schemas/NodeProfile.ts"

type Step = ReadonlyArray<RuntimeChunk> | "end" | RuntimeFailed

export interface ScriptedRun {
  readonly assignment: Assignment
  /** Done when the agent has taken the pieces and asked for more; hangs while it does not. */
  readonly say: (...texts: ReadonlyArray<string>) => Promise<void>
  readonly chunks: (chunks: ReadonlyArray<RuntimeChunk>) => Promise<void>
  readonly end: () => void
  readonly fail: (code: string, fault: "node" | "job") => void
  /** Whether the agent gave the run up. */
  readonly stopped: Promise<void>
}

export interface ScriptedRuntime extends Runtime {
  /** The n-th run, from 1. */
  readonly run_: (count: number) => Promise<ScriptedRun>
  readonly runs: () => number
}

const MODELS: ReadonlyArray<ServedModel> = [{ name: "sim-small", endpoints: ["chat"], canContinue: true, loaded: true }]

export const make = (declines: Runtime["declines"] = () => null): ScriptedRuntime => {
  const runs: Array<ScriptedRun> = []
  const waiting: Array<{ readonly count: number; readonly resolve: (run: ScriptedRun) => void }> = []
  return {
    name: Effect.succeed("scripted"),
    models: Effect.succeed(MODELS),
    healthy: Effect.succeed(true),
    declines,
    runs: () => runs.length,
    run_: (count) =>
      new Promise((resolve) => {
        const run = runs[count - 1]
        if (run === undefined) waiting.push({ count, resolve })
        else resolve(run)
      }),
    run: (assignment) =>
      Stream.suspend(() => {
        const { run, stream } = scripted(assignment)
        runs.push(run)
        for (const { count, resolve } of waiting) if (count === runs.length) resolve(run)
        return stream
      })
  }
}

const scripted = (assignment: Assignment) => {
  const steps: Array<{ readonly step: Step; readonly taken: () => void }> = []
  let wake = (): void => undefined
  let taken = (): void => undefined
  let stop = (): void => undefined
  const stopped = new Promise<void>((resolve) => (stop = resolve))
  const push = (step: Step): Promise<void> =>
    new Promise((resolve) => {
      steps.push({ step, taken: resolve })
      wake()
    })
  const arrived = Effect.callback<void>((resume) => {
    if (steps.length > 0) return resume(Effect.void)
    wake = () => resume(Effect.void)
  })
  const pull = Effect.gen(function* () {
    taken()
    yield* arrived
    const next = steps.shift()
    if (next === undefined) return yield* Effect.die("woken for nothing")
    taken = next.taken
    if (next.step === "end") return yield* Cause.done()
    if (next.step instanceof RuntimeFailed) return yield* next.step
    return next.step as readonly [RuntimeChunk, ...Array<RuntimeChunk>]
  })
  const run: ScriptedRun = {
    assignment,
    say: (...texts) => push(texts.map((text) => ({ _tag: "Delta", choice: 0, text }))),
    chunks: push,
    end: () => void push("end"),
    fail: (code, fault) => void push(new RuntimeFailed({ code, fault })),
    stopped
  }
  const stream = Stream.fromPull(Effect.succeed(pull)).pipe(Stream.ensuring(Effect.sync(() => stop())))
  return { run, stream }
}
