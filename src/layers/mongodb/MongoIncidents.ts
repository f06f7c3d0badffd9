/** Incidents, one document each; the first telling of an id stands. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Filter } from "mongodb"
import type { Incident } from "../../schemas/Incident.ts"
import * as Incidents from "../Incidents.ts"
import type { Scope } from "../JobRecords.ts"
import type { IncidentDocument } from "./Collections.ts"
import { MongoClient } from "./MongoClient.ts"
import { hasOnlyDuplicates } from "./MongoErrors.ts"
import { within } from "./MongoLogs.ts"

const during = (method: keyof Incidents.Driver) => ({ of: "Incidents", method })

const documentOf = (incident: Incident): IncidentDocument => ({
  _id: incident.id,
  namespaceId: incident.namespaceId,
  kind: incident.kind,
  type: incident.type,
  subject: JSON.stringify(incident.subject),
  at: incident.at,
  body: JSON.stringify(incident)
})

const filterOf = (
  scope: Scope,
  { kind, type, subject, from, to }: Incidents.IncidentQuery
): Filter<IncidentDocument> => {
  const at = within(from, to)
  return {
    ...(scope._tag === "Namespace" ? { namespaceId: scope.namespaceId } : {}),
    ...(kind === undefined ? {} : { kind }),
    ...(type === undefined ? {} : { type }),
    ...(subject === undefined ? {} : { subject: JSON.stringify(subject) }),
    ...(at === undefined ? {} : { at })
  }
}

export const layer: Layer.Layer<Incidents.Incidents, never, MongoClient> = Layer.effect(
  Incidents.Incidents,
  Effect.map(MongoClient, ({ run, collections }) =>
    Incidents.make({
      raise: (incidents) =>
        run(during("raise"), async () => {
          try {
            await collections.incidents.insertMany(incidents.map(documentOf), { ordered: false })
          } catch (cause) {
            if (!hasOnlyDuplicates(cause)) throw cause
          }
        }),
      list: (scope, query) =>
        query.limit <= 0
          ? Effect.succeed([])
          : run(during("list"), async () => {
              const found = collections.incidents.find(filterOf(scope, query), { projection: { body: 1 } })
              const documents = await found.sort({ at: -1, _id: -1 }).limit(query.limit).toArray()
              return documents.map(({ body }) => JSON.parse(body) as Incident)
            })
    })
  )
)
