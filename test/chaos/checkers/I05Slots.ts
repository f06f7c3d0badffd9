/** I5: no node is ever given more attempts than it has slots, by what its agent writes down. */
import type { Checker } from "../support/History.ts"

export const I05: Checker = {
  name: "I05",
  atEnd: ({ history }) =>
    history.attempts.flatMap(({ nodeId, what, jobId, attempt, running, slots }) =>
      what === "assigned" && running > slots
        ? [`${nodeId} was given ${jobId}/${attempt}: ${running} of ${slots} slots`]
        : []
    )
}
