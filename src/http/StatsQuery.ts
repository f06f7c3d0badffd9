/** A question for sums as a query string asks it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Grouping } from "../layers/JobTally.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import { type Params, readRange } from "./Query.ts"

const DAY_MS = 86_400_000
const SPAN_DEFAULT_MS = 30 * DAY_MS
const HOURS_DEFAULT_MS = DAY_MS
/** By hour a longer span would be no dashboard any more. */
const HOURS_MAX_MS = 31 * DAY_MS

const bad = (param: string, issue: string) => refuse("invalid_request", `${param} ${issue}.`, { param })

export const readStatsQuery = <const G extends Grouping>(
  params: Params<"group_by" | "from" | "to">,
  known: ReadonlyArray<G>
): Effect.Effect<{ readonly groupBy: ReadonlyArray<G>; readonly from: number; readonly to: number }, Refusal> =>
  Effect.gen(function* () {
    const asked = (params.group_by ?? "day").split(",")
    const groupBy = known.filter((one) => asked.includes(one)).toSorted((a, b) => asked.indexOf(a) - asked.indexOf(b))
    if (groupBy.length !== asked.length || groupBy.length > 2) {
      return yield* bad("group_by", `must be one or two of ${known.join(", ")}, with a comma between`)
    }
    const byHour = asked.includes("hour")
    const range = yield* readRange(params, yield* Clock.currentTimeMillis, byHour ? HOURS_DEFAULT_MS : SPAN_DEFAULT_MS)
    if (byHour && range.to - range.from > HOURS_MAX_MS) {
      return yield* bad("from", "must not be more than 31 days before to when hours are asked for")
    }
    return { groupBy, ...range }
  })
