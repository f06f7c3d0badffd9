/** The supervision tree as it is, and a fresh start for one actor. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Registry } from "../../../kernel/Registry.ts"
import { refuse } from "../../../schemas/Refusal.ts"
import type { Call } from "../../Call.ts"
import { audit, readOrder } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { Restarts } from "../../Restarts.ts"
import { open } from "../../Route.ts"

export const RestartOrder = Schema.Struct({
  address: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(256))
})
const readRestart = readOrder(RestartOrder)

export const actorRoutes = {
  listActors: open(() => Effect.flatMap(Registry, ({ tree }) => Effect.map(tree, (data) => plain({ data })))),
  restartActor: open(
    Effect.fnUntraced(function* (call: Call) {
      const order = yield* readRestart(call)
      const { address } = order.body
      const restart = yield* Restarts
      if (restart === null) return yield* refuse("not_available", "This daemon offers no restart of single actors.")
      const restarted = yield* restart(address)
      if (!restarted) return yield* refuse("not_found", "No actor with this address runs here.", { param: "address" })
      yield* audit(order, "actor.restart", `actor/${address}`)
      return plain({ address, restarted })
    })
  )
}
