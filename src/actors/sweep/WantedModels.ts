/** Which models somebody wanted lately or waits for, and how many nodes serve them. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Incidents } from "../../layers/Incidents.ts"
import type { Scope } from "../../layers/JobRecords.ts"
import type { JobSurvey } from "../../layers/JobStore.ts"
import type { LiveNodes } from "../../layers/LiveNodes.ts"
import type { Wanted } from "../../policies/detect/Unavailable.ts"
import { Environment } from "../../schemas/Job.ts"

export interface WantedHouse {
  readonly incidents: Incidents["Service"]
  readonly survey: JobSurvey["Service"]
  readonly live: LiveNodes["Service"]
}

const REFUSED_MAX = 500

/** What a rejection says of the model that it was for. */
const isOfModel = Schema.is(Schema.Struct({ model: Schema.String, environment: Environment }))

/**
 * @param from refusals from then on
 * @param before jobs that wait since before that
 */
export const wantedModels = Effect.fnUntraced(function* (
  { incidents, survey, live }: WantedHouse,
  scope: Scope,
  aliases: Readonly<Record<string, string>>,
  from: number,
  before: number,
  now: number
) {
  const found = new Map<string, Wanted>()
  const add = (environment: Environment, model: string, refused: number, waiting: number) => {
    const name = `${environment} ${model}`
    const known = found.get(name) ?? { environment, model, refused: 0, waiting: 0 }
    found.set(name, { ...known, refused: known.refused + refused, waiting: known.waiting + waiting })
  }
  for (const { observed } of yield* incidents.list(scope, { type: "model_unavailable", from, limit: REFUSED_MAX })) {
    if (isOfModel(observed)) add(observed.environment, aliases[observed.model] ?? observed.model, 1, 0)
  }
  for (const { lane, waiting, oldestAt } of yield* survey.lanes) {
    if (oldestAt <= before) add(lane.environment, lane.model, 0, waiting)
  }
  const nodes = new Map<string, number>()
  for (const environment of Environment.literals) {
    for (const each of yield* live.models(environment, now)) nodes.set(`${environment} ${each.name}`, each.nodes)
  }
  const served = (environment: Environment, model: string) => nodes.get(`${environment} ${model}`) ?? 0
  return { wanted: [...found.values()], served }
})
