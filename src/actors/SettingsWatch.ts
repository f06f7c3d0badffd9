/** Looks for rules that another daemon published, so that all of them act by the same ones within seconds. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DaemonConfig } from "../layers/DaemonConfig.ts"
import { Settings } from "../layers/Settings.ts"

const LOOK_EVERY = "2 seconds"

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    // Who has its data folder alone publishes everything itself.
    const isAlone = (yield* DaemonConfig).silenceMaxMs === null
    if (isAlone) return
    const { refresh } = yield* Settings
    const look = Effect.catch(refresh, ({ during }) => Effect.logDebug("settings not looked for", { during }))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(LOOK_EVERY), look)))
  })
)
