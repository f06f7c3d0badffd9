/** Incidents, one document each; the first telling of an id stands. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Filter } from "mongodb"
import type { Incident } from "../../schemas/Incident.ts"
import * as Incidents from "../Incidents.ts"
import type { Scope } from "../JobRecords.ts"
import type { IncidentDocument } from "./Collections.ts"
import * as MongoBatch from "./MongoBatch.ts"
import { DURABLE, MongoClient } from "./MongoClient.ts"
import { within } from "./MongoLogs.ts"
import { storedText } from "./StoredText.ts"

const during = (method: keyof Incidents.Driver) => ({ of: "Incidents", method })

const documentOf = (incident: Incident): IncidentDocument => ({
  _id: incident.id,
  namespaceId: incident.namespaceId,
  kind: incident.kind,
  type: incident.type,
  severity: incident.severity,
  subject: storedText(incident.subject),
  at: incident.at,
  body: JSON.stringify(incident)
})

const filterOf = (
  scope: Scope,
  { kind, type, subject, from, to }: Incidents.IncidentQuery
): Filter<IncidentDocument> => {
  const at = within(from, to)
  return {
    ...(scope._tag === "Namespace" ? { namespaceId: { $eq: scope.namespaceId } } : {}),
    ...(kind === undefined ? {} : { kind: { $eq: kind } }),
    ...(type === undefined ? {} : { type: { $eq: type } }),
    ...(subject === undefined ? {} : { subject: { $eq: storedText(subject) } }),
    ...(at === undefined ? {} : { at })
  }
}

const indexFor = (scope: Scope, query: Incidents.IncidentQuery): string => {
  const facet = (["subject", "type", "kind"] as const).find((each) => query[each] !== undefined) ?? "time"
  return scope._tag === "Namespace" ? `by_namespace_${facet}` : `by_${facet}`
}

export const find = (
  { collections: { incidents } }: Pick<MongoClient["Service"], "collections">,
  scope: Scope,
  query: Incidents.IncidentQuery
) =>
  incidents
    .find(filterOf(scope, query), { projection: { body: 1 } })
    .hint(indexFor(scope, query))
    .sort({ at: -1, _id: -1 })
    .limit(query.limit)

export const findAfter = (
  { collections: { incidents } }: Pick<MongoClient["Service"], "collections">,
  place: Incidents.IncidentPlace,
  to: number,
  limit: number
) =>
  incidents
    .find(
      { at: { $gte: place.at, $lt: to }, $or: [{ at: { $gt: place.at } }, { _id: { $gt: place.id } }] },
      { projection: { body: 1 } }
    )
    .hint("by_time")
    .sort({ at: 1, _id: 1 })
    .limit(limit)

export const layer: Layer.Layer<Incidents.Incidents, never, MongoClient> = Layer.effect(
  Incidents.Incidents,
  Effect.map(MongoClient, (client) =>
    Incidents.make({
      raise: (incidents) =>
        Effect.asVoid(
          client.run(during("raise"), () => {
            const inserts = incidents.map((incident) => ({ insertOne: { document: documentOf(incident) } }))
            return MongoBatch.bulk(client.collections.incidents, inserts, DURABLE)
          })
        ),
      list: (scope, query) =>
        query.limit <= 0
          ? Effect.succeed([])
          : client.run(during("list"), async () =>
              (await find(client, scope, query).toArray()).map(({ body }) => JSON.parse(body) as Incident)
            ),
      after: (place, to, limit) =>
        client.run(during("after"), async () =>
          (await findAfter(client, place, to, limit).toArray()).map(({ body }) => JSON.parse(body) as Incident)
        )
    })
  )
)
