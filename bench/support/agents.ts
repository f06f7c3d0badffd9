/**
 * Agents in a process of their own: `agents.ts URL COUNT SLOTS [RUNTIME]`. With a base URL they serve that runtime, without one an instant
 * simulated runtime. Ready when all are started; whether a daemon found them good is asked of the daemon.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Agent from "../../src/agent/Agent.ts"
import * as HttpRuntime from "../../src/agent/HttpRuntime.ts"
import * as Identity from "../../src/agent/Identity.ts"
import * as SimulatedRuntime from "../../src/agent/SimulatedRuntime.ts"

const [url = "", count = "1", slots = "1", baseUrl] = process.argv.slice(2)

const runtime =
  baseUrl === undefined
    ? Effect.succeed(SimulatedRuntime.make({ character: SimulatedRuntime.CHARACTERS.instant, seed: 1 }))
    : HttpRuntime.make({ baseUrl, continuation: "none", embeddings: [] })

const one = (at: number) =>
  Effect.gen(function* () {
    const agent = yield* Agent.start({
      url,
      identity: yield* Identity.ephemeral,
      environment: "testnet",
      name: `bench-${at}`,
      slots: Number(slots),
      runtime: yield* runtime,
      gpus: Effect.succeed([])
    })
    yield* Effect.forkScoped(Effect.orDie(agent.done))
  })

const program = Effect.gen(function* () {
  for (let at = 0; at < Number(count); at++) yield* one(at)
  yield* Effect.sync(() => process.stdout.write("ready: agents\n"))
  return yield* Effect.never
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
