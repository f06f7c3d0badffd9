/** Long work of this daemon: how far each is, and an end to one. */
import * as Effect from "effect/Effect"
import { LongWork } from "../../../actors/LongWork.ts"
import type { Call } from "../../Call.ts"
import { audit, readReason } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { open } from "../../Route.ts"

const listWorks = open(() => Effect.flatMap(LongWork, ({ list }) => Effect.map(list, (data) => plain({ data }))))

const getWork = open((call: Call) =>
  Effect.flatMap(LongWork, ({ look }) => Effect.map(look(call.params["id"] ?? ""), (work) => plain({ work })))
)

const cancelWork = open(
  Effect.fnUntraced(function* (call: Call) {
    const order = yield* readReason(call)
    const work = yield* (yield* LongWork).cancel(call.params["id"] ?? "")
    yield* audit(order, "work.cancel", `work/${work.id}`, { kind: work.kind, state: work.state })
    return plain({ work })
  })
)

export const workRoutes = { listWorks, getWork, cancelWork }
