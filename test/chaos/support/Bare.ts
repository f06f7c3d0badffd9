/** A world without the sweeps that bring back what was lost: what they would hide shows. */
import { Context, Effect } from "effect"
import { JobSurvey } from "../../../src/layers/JobStore.ts"
import type { Stores } from "./ChaosDaemon.ts"

export const withoutRepair = (stores: Stores): Stores => {
  const nothing = () => Effect.succeed([])
  const survey = { ...Context.get(stores, JobSurvey), waiting: nothing, due: nothing }
  return Context.add(stores, JobSurvey, survey)
}
