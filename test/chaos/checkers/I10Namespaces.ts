/** I10: no read in the name of one namespace brings anything of another. */
import type { JobRecord } from "../../../src/schemas/JobRecord.ts"
import type { Scope } from "../../../src/layers/JobRecords.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import type { TokenEvent } from "../../../src/schemas/TokenEvent.ts"
import type { Checker } from "../support/History.ts"

export const I10: Checker = {
  name: "I10",
  points: ["JobRecords.get", "Traces.read"],
  during: ({ point, args, result }, { state }) => {
    const scope = args[0] as Scope | undefined
    if (scope?._tag !== "Namespace") return null
    const brought =
      point === "JobRecords.get"
        ? (result as JobRecord | null) !== null
        : (result as ReadonlyArray<TokenEvent>).length > 0
    const jobId = args[1] as JobId
    const owner = state.jobs.get(jobId)?.row.job.namespaceId
    return brought && owner !== undefined && owner !== scope.namespaceId
      ? `${point} of ${jobId} for ${scope.namespaceId}`
      : null
  },
  atEnd: ({ history }) => history.leaks
}
