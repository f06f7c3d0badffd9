/** I12: each attempt runs where its job may run: in its environment, its region, and on a node that serves its model for its endpoint. */
import type { Checker } from "../support/History.ts"

const ENVIRONMENT = "testnet"

export const I12: Checker = {
  name: "I12",
  atEnd: ({ history, state }) =>
    history.attempts.flatMap(({ what, nodeId, region, jobId }) => {
      const job = state.jobs.get(jobId)?.row.job
      if (what !== "assigned" || job === undefined) return []
      if (job.environment !== ENVIRONMENT) return [`${jobId} of ${job.environment} ran on ${nodeId} of ${ENVIRONMENT}`]
      const wanted = job.constraints.region
      return wanted !== undefined && wanted !== region ? [`${jobId} for ${wanted} ran on ${nodeId} in ${region}`] : []
    })
}
