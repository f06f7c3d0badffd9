/** The simulated nodes of a trial: the real agent over a real WebSocket, with a simulated runtime behind it. Their keys stay the same over restarts. */
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Agent from "./agent/Agent.ts"
import * as Identity from "./agent/Identity.ts"
import * as SimulatedRuntime from "./agent/SimulatedRuntime.ts"
import type { Environment } from "./schemas/Job.ts"

export interface SimulatedOptions {
  readonly url: string
  readonly environment: Environment
  readonly characters: ReadonlyArray<SimulatedRuntime.CharacterName>
  /** Folder of their keys; null: new keys each time. */
  readonly keys: string | null
}

const SLOTS = 32

/** Starts them in the background of the scope; their ids. One that gives up says so and takes nobody with it. */
export const start = ({ url, environment, characters, keys }: SimulatedOptions) =>
  Effect.forEach(
    characters.map((character, index) => ({ character, name: nameOf(characters, character, index), index })),
    ({ character, name, index }) =>
      Effect.gen(function* () {
        const identity = keys === null ? yield* Identity.ephemeral : join(keys, `${name}.key`)
        const runtime = SimulatedRuntime.make({ character: SimulatedRuntime.CHARACTERS[character], seed: index + 1 })
        const agent = yield* Agent.start({
          url,
          identity,
          environment,
          name,
          slots: SLOTS,
          runtime,
          gpus: Effect.succeed([])
        })
        yield* agent.done.pipe(
          Effect.catch((failed) => Effect.logError("simulated node gave up", { name, why: failed.message })),
          Effect.forkScoped
        )
        return agent.nodeId
      })
  )

/** `swift`, and `swift-2` for a second one. */
const nameOf = (
  characters: ReadonlyArray<SimulatedRuntime.CharacterName>,
  character: SimulatedRuntime.CharacterName,
  index: number
): string => {
  const earlier = characters.slice(0, index).filter((other) => other === character).length
  return earlier === 0 ? character : `${character}-${earlier + 1}`
}
