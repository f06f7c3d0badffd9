/** A world whose nodes are asked what the network knows already: sets, settings, passes of the sweepers, and agents that answer right or wrong. */
import { Effect } from "effect"
import { SweepSupervisor } from "../../../src/actors/sweep/SweepSupervisor.ts"
import { EvaluationSets } from "../../../src/layers/EvaluationSets.ts"
import { Quality } from "../../../src/layers/Quality.ts"
import type { Piece } from "../../../src/schemas/AgentFrame.ts"
import { expectedAnswer } from "../../../src/agent/SimulatedAnswer.ts"
import type { EvaluationPrompt } from "../../../src/schemas/Quality.ts"
import type { Held, MemoryAgent, Orders } from "../../support/MemoryAgent.ts"
import { aDraft } from "../../support/qualityFactories.ts"
import type { World, WorldDaemon } from "../../support/World.ts"

/** What an honest node says to this text, whatever it is asked for besides. */
export const honest = (text: string): string =>
  expectedAnswer("chat", { model: "sim-small", messages: [{ role: "user", content: text }], max_tokens: 12 }, 0).text

export const prompt = (id: string, text: string): EvaluationPrompt => ({
  id,
  text,
  tokensMin: 8,
  expect: [{ kind: "contains", all: [honest(text).split(" ").slice(0, 3).join(" ")] }]
})

const TEXTS = ["What is the capital of France?", "How many legs has a spider?", "Name the planet next to the sun."]

/** The same questions, to which any answer will do: what a simulated node says follows from its seed too. */
export const ANYTHING: ReadonlyArray<EvaluationPrompt> = TEXTS.map((text, at) => ({
  id: `p${at}`,
  text,
  tokensMin: 8,
  expect: [{ kind: "length", min: 1, max: 10_000 }]
}))

export const addSet = (
  daemon: WorldDaemon,
  prompts: ReadonlyArray<EvaluationPrompt> = TEXTS.map((text, at) => prompt(`p${at}`, text))
) => daemon.use(Effect.flatMap(EvaluationSets, (sets) => sets.add(aDraft({ models: "sim-*", prompts }))))

export const sweep = (daemon: WorldDaemon, name: string) =>
  Effect.orDie(daemon.use(Effect.flatMap(SweepSupervisor, (sweepers) => sweepers.sweep(name, false))))

export const trialsOf = (daemon: WorldDaemon, agent: MemoryAgent, kind?: "blind" | "retest" | "replica") =>
  Effect.orDie(
    daemon.use(
      Effect.flatMap(Quality, ({ trials }) =>
        trials({ nodeId: agent.nodeId, limit: 1000, ...(kind === undefined ? {} : { kind }) })
      )
    )
  )

export const standingOf = (daemon: WorldDaemon, agent: MemoryAgent) =>
  Effect.map(
    Effect.orDie(
      daemon.use(
        Effect.flatMap(Quality, ({ standings }) => standings({ nodeId: agent.nodeId, model: "sim-small", limit: 1 }))
      )
    ),
    ([standing]) => standing ?? null
  )

/** Says this instead of the answer, and ends well. */
export const saying =
  (text: string): Orders =>
  (held: Held, agent: MemoryAgent) => {
    const { firstSeq } = held.assign
    const script: ReadonlyArray<Piece> = [
      ...text.split(" ").map((word, at) => ({ seq: firstSeq + at, choice: 0, text: `${word} ` })),
      { seq: firstSeq + text.split(" ").length, choice: 0, text: "", finish: "stop" as const }
    ]
    const changed: Held = { ...held, script }
    agent.held.set(`${held.assign.jobId}/${held.assign.attempt}`, changed)
    agent.accept(changed)
    agent.finish(changed)
  }

/** Passes until this is so; each second is a pass of both sweepers where they lead. */
export const passing = (world: World, what: string, holds: Effect.Effect<boolean>, secondsMax = 3_000) =>
  Effect.gen(function* () {
    for (let second = 0; second < secondsMax; second += 5) {
      if (yield* holds) return
      yield* world.pass(5_000)
    }
    throw new Error(`it never came to this: ${what}`)
  })
