/**
 * The real agent as a process of its own with a simulated runtime behind it, which `resultity node` has not: a node that outlives its daemon.
 * `node NodeChild.ts <options as JSON>`. Says `registered` with each session; SIGTERM drains.
 */
import { Effect } from "effect"
import * as Agent from "../../src/agent/Agent.ts"
import { type Character, make } from "../../src/agent/SimulatedRuntime.ts"

export interface NodeChildOptions {
  readonly url: string | ReadonlyArray<string>
  /** Path of the key file. */
  readonly identity: string
  readonly name: string
  readonly slots: number
  readonly seed: number
  readonly character: Character
}

if (process.argv[1] === import.meta.filename) {
  const { character, seed, ...options } = JSON.parse(process.argv[2] ?? "{}") as NodeChildOptions
  const program = Effect.gen(function* () {
    const agent = yield* Agent.start({
      ...options,
      environment: "testnet",
      runtime: make({ character, seed }),
      gpus: Effect.succeed([]),
      log: (message, facts) => console.log(`${message} ${JSON.stringify(facts)}`)
    })
    const asked = Effect.callback<void>((resume) => void process.once("SIGTERM", () => resume(Effect.void)))
    yield* Effect.raceFirst(agent.done, Effect.andThen(asked, agent.drain("asked by a signal")))
  })
  // A timer holds the process open: Effect alone does not.
  const open = setInterval(() => undefined, 60_000)
  await Effect.runPromise(Effect.scoped(program))
  clearInterval(open)
}
