/** Incidents by id in a Map. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Incidents from "../Incidents.ts"
import { byText, MemoryRecords, sees, within, type State } from "./MemoryRecords.ts"

const driver = (state: State): Incidents.Driver => ({
  raise: (incidents) =>
    Effect.sync(() => {
      for (const incident of incidents) {
        if (!state.incidents.has(incident.id)) state.incidents.set(incident.id, incident)
      }
    }),
  list: (scope, { kind, type, subject, limit, ...span }) =>
    Effect.sync(() =>
      [...state.incidents.values()]
        .filter(
          (incident) =>
            sees(scope, incident.namespaceId) &&
            (kind === undefined || incident.kind === kind) &&
            (type === undefined || incident.type === type) &&
            (subject === undefined || incident.subject === subject) &&
            within(incident.at, span)
        )
        .toSorted((a, b) => b.at - a.at || byText(b.id, a.id))
        .slice(0, Math.max(limit, 0))
    ),
  after: (place, to, limit) =>
    Effect.sync(() =>
      [...state.incidents.values()]
        .filter(({ at, id }) => at < to && (at > place.at || (at === place.at && id > place.id)))
        .toSorted((a, b) => a.at - b.at || byText(a.id, b.id))
        .slice(0, limit)
    )
})

export const layer = Layer.effect(
  Incidents.Incidents,
  Effect.map(MemoryRecords, (state) => Incidents.make(driver(state)))
)
