/** Starts one actor anew, by its address, on an operator's word. Whoever builds the supervision tree supplies it. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/** False: nobody here has this address. */
export type Restart = (address: string) => Effect.Effect<boolean>

/** null: this daemon's tree offers no restart from outside. */
export const Restarts = Context.Reference<Restart | null>("resultity/http/Restarts", { defaultValue: () => null })
