/** Trials, evidence and standings in Maps. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { NodeId } from "../../schemas/Ids.ts"
import type { Evidence, Standing, Trial } from "../../schemas/Quality.ts"
import {
  type Driver,
  type Forgetting,
  hasEnded,
  make,
  Quality,
  type StandingQuery,
  type TrialQuery
} from "../Quality.ts"
import { byText, MemoryRecords, type State } from "./MemoryRecords.ts"

const pairOf = (nodeId: NodeId, model: string) => `${nodeId}/${model}`

const matches = (trial: Trial, { kind, state, nodeId, model, setId }: TrialQuery): boolean =>
  (kind === undefined || trial.kind === kind) &&
  (state === undefined || trial.state === state) &&
  (nodeId === undefined || trial.nodeId === nodeId) &&
  (model === undefined || trial.model === model) &&
  (setId === undefined || trial.setId === setId)

const isAsked = (standing: Standing, { pending, nodeId, model }: StandingQuery): boolean =>
  (pending === undefined || standing.rev > standing.scoredRev) &&
  (nodeId === undefined || standing.nodeId === nodeId) &&
  (model === undefined || standing.model === model)

const oldestFirst = (a: Trial, b: Trial) => a.plannedAt - b.plannedAt || byText(a.id, b.id)

const driver = (state: State): Driver => ({
  put: (trial) =>
    Effect.sync(() => {
      const known = state.trials.get(trial.id)
      if (known === undefined || !hasEnded(known)) state.trials.set(trial.id, trial)
    }),
  trials: (query) =>
    Effect.sync(() => {
      const all = [...state.trials.values()].toSorted(oldestFirst)
      return "open" in query
        ? all.filter((trial) => !hasEnded(trial)).slice(0, query.open)
        : all
            .filter((trial) => matches(trial, query))
            .toReversed()
            .slice(0, query.limit)
    }),
  count: (evidence) => Effect.sync(() => evidence.forEach((one) => count(state, one))),
  evidence: (nodeId, model, source, limit) =>
    Effect.sync(() =>
      [...state.evidence.values()]
        .filter((one) => one.nodeId === nodeId && one.model === model && one.source === source)
        .toSorted((a, b) => b.at - a.at || byText(b.id, a.id))
        .slice(0, limit)
    ),
  standings: (query) =>
    Effect.sync(() =>
      [...state.standings.values()]
        .filter((standing) => isAsked(standing, query))
        .toSorted((a, b) => byText(a.nodeId, b.nodeId) || byText(a.model, b.model))
        .slice(0, query.limit)
    ),
  settle: ({ nodeId, model, rev, score }) =>
    Effect.sync(() => {
      const known = state.standings.get(pairOf(nodeId, model))
      if (known === undefined || known.scoredRev > rev) return
      state.standings.set(pairOf(nodeId, model), { ...known, scoredRev: rev, score })
    }),
  forget: (what) => Effect.sync(() => forget(state, what))
})

const count = ({ evidence, standings }: State, one: Evidence): void => {
  const { nodeId, model } = one
  if (!evidence.has(one.id)) evidence.set(one.id, one)
  const known = standings.get(pairOf(nodeId, model)) ?? { nodeId, model, rev: 0, scoredRev: 0, score: null }
  standings.set(pairOf(nodeId, model), { ...known, rev: known.rev + 1 })
}

const forget = ({ trials, evidence, standings }: State, what: Forgetting): number => {
  if (what._tag === "Node") {
    const removed = [...removing(evidence, (one) => one.nodeId === what.nodeId, Infinity)]
    for (const [pair, { nodeId }] of standings) if (nodeId === what.nodeId) standings.delete(pair)
    return removed.length
  }
  const { before, limit } = what
  const old = removing(trials, (trial) => hasEnded(trial) && trial.plannedAt < before, limit)
  return old.length + removing(evidence, ({ at }) => at < before, limit).length
}

const removing = <A>(from: Map<string, A>, isOld: (one: A) => boolean, limit: number): ReadonlyArray<string> => {
  const ids = [...from]
    .filter(([, one]) => isOld(one))
    .map(([id]) => id)
    .slice(0, limit)
  for (const id of ids) from.delete(id)
  return ids
}

export const layer = Layer.effect(
  Quality,
  Effect.map(MemoryRecords, (state) => make(driver(state)))
)
