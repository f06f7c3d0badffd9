/** Which daemons share this installation, and which of them answered. */
import * as Effect from "effect/Effect"
import { DaemonConfig } from "../../../layers/DaemonConfig.ts"
import { Daemons } from "../../../layers/Daemons.ts"
import { plain } from "../../OperatorViews.ts"
import { open } from "../../Route.ts"

/** Those that are over are kept in the store; an operator looks at the last of them. */
const OVER_MAX = 20

const list = open(() =>
  Effect.gen(function* () {
    const { daemonId } = yield* DaemonConfig
    const all = yield* (yield* Daemons).list
    const newest = all.toSorted((a, b) => b.startedAt - a.startedAt)
    const live = newest.filter(({ state }) => state === "live")
    const over = newest.filter(({ state }) => state !== "live").slice(0, OVER_MAX)
    return plain({ data: [...live, ...over].map((row) => ({ ...row, here: row.id === daemonId })) })
  })
)

export const daemonRoutes = { listDaemons: list }
