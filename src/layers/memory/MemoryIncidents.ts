/** Incidents by id in a Map. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Incident, isLasting, isOpen } from "../../schemas/Incident.ts"
import * as Incidents from "../Incidents.ts"
import { byText, MemoryRecords, sees, within, type State } from "./MemoryRecords.ts"

/** Null: it has no place in this order. */
const instantOf = (order: Incidents.IncidentOrder, { at, episode }: Incident): number | null =>
  order === "opened" ? at : (episode?.closedAt ?? null)

const driver = (state: State): Incidents.Driver => ({
  raise: (incidents) =>
    Effect.sync(() => {
      for (const incident of incidents) {
        if (!state.incidents.has(incident.id)) state.incidents.set(incident.id, incident)
      }
    }),
  list: (scope, { kind, type, subject, open, limit, ...span }) =>
    Effect.sync(() =>
      [...state.incidents.values()]
        .filter(
          (incident) =>
            sees(scope, incident.namespaceId) &&
            (kind === undefined || incident.kind === kind) &&
            (type === undefined || incident.type === type) &&
            (subject === undefined || incident.subject === subject) &&
            (open === undefined || isOpen(incident)) &&
            within(incident.at, span)
        )
        .toSorted((a, b) => b.at - a.at || byText(b.id, a.id))
        .slice(0, Math.max(limit, 0))
    ),
  after: (order, place, to, limit) =>
    Effect.sync(() =>
      [...state.incidents.values()]
        .flatMap((incident) => {
          const at = instantOf(order, incident)
          return at === null ? [] : [{ at, id: incident.id, incident }]
        })
        .filter(({ at, id }) => at < to && (at > place.at || (at === place.at && id > place.id)))
        .toSorted((a, b) => a.at - b.at || byText(a.id, b.id))
        .slice(0, limit)
        .map(({ incident }) => incident)
    ),
  latest: (type, subject) =>
    Effect.sync(
      () =>
        [...state.incidents.values()]
          .filter((incident) => isLasting(incident))
          .filter((incident) => incident.type === type && incident.subject === subject)
          .toSorted((a, b) => b.episode.number - a.episode.number)[0] ?? null
    ),
  put: (incident, seen) =>
    Effect.sync(() => {
      const known = state.incidents.get(incident.id)
      const isAsSeen =
        seen === null ? known === undefined : known !== undefined && isOpen(known) && known.episode?.sightings === seen
      if (isAsSeen) state.incidents.set(incident.id, incident)
      return isAsSeen
    })
})

export const layer = Layer.effect(
  Incidents.Incidents,
  Effect.map(MemoryRecords, (state) => Incidents.make(driver(state)))
)
