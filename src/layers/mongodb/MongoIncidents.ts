/** Incidents, one document each; the first telling of an id stands. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Filter } from "mongodb"
import { type Incident, isOpen, type LastingIncident } from "../../schemas/Incident.ts"
import * as Incidents from "../Incidents.ts"
import type { Scope } from "../JobRecords.ts"
import type { IncidentDocument } from "./Collections.ts"
import * as MongoBatch from "./MongoBatch.ts"
import { DURABLE, MongoClient } from "./MongoClient.ts"
import { isDuplicate } from "./MongoErrors.ts"
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
  body: JSON.stringify(incident),
  keyId: incident.keyId ?? null,
  number: incident.episode?.number ?? null,
  sightings: incident.episode?.sightings ?? null,
  closedAt: incident.episode?.closedAt ?? null,
  isOpen: isOpen(incident)
})

const filterOf = (
  scope: Scope,
  { kind, type, subject, open, from, to }: Incidents.IncidentQuery
): Filter<IncidentDocument> => {
  const at = within(from, to)
  return {
    ...(scope._tag === "Namespace" ? { namespaceId: { $eq: scope.namespaceId } } : {}),
    ...(kind === undefined ? {} : { kind: { $eq: kind } }),
    ...(type === undefined ? {} : { type: { $eq: type } }),
    ...(subject === undefined ? {} : { subject: { $eq: storedText(subject) } }),
    ...(open === undefined ? {} : { isOpen: true }),
    ...(at === undefined ? {} : { at })
  }
}

const indexFor = (scope: Scope, query: Incidents.IncidentQuery): string => {
  // Few are open, whatever else is asked.
  if (query.open !== undefined) return "open_by_time"
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

type Holder = Pick<MongoClient["Service"], "collections">

export const findAfter = (
  { collections: { incidents } }: Holder,
  order: Incidents.IncidentOrder,
  place: Incidents.IncidentPlace,
  to: number,
  limit: number
) => {
  const at = order === "opened" ? "at" : "closedAt"
  const filter = { [at]: { $gte: place.at, $lt: to }, $or: [{ [at]: { $gt: place.at } }, { _id: { $gt: place.id } }] }
  return incidents
    .find(filter as Filter<IncidentDocument>, { projection: { body: 1 } })
    .hint(order === "opened" ? "by_time" : "by_end")
    .sort({ [at]: 1, _id: 1 })
    .limit(limit)
}

export const findLatest = ({ collections: { incidents } }: Holder, type: string, subject: string) =>
  incidents
    .find({ type, subject: storedText(subject), number: { $gte: 0 } }, { projection: { body: 1 } })
    .hint("by_number")
    .sort({ number: -1 })
    .limit(1)

/** False: its id is known. */
const insert = async ({ collections: { incidents } }: Holder, incident: LastingIncident): Promise<boolean> => {
  try {
    await incidents.insertOne(documentOf(incident), DURABLE)
    return true
  } catch (cause) {
    if (!isDuplicate(cause)) throw cause
    return false
  }
}

const replace = async ({ collections: { incidents } }: Holder, incident: LastingIncident, seen: number) => {
  const { _id, ...fields } = documentOf(incident)
  const { matchedCount } = await incidents.updateOne({ _id, sightings: seen, isOpen: true }, { $set: fields }, DURABLE)
  return matchedCount > 0
}

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
              (await find(client, scope, query).toArray()).map(({ body }) => Incidents.parsed(body))
            ),
      after: (order, place, to, limit) =>
        client.run(during("after"), async () =>
          (await findAfter(client, order, place, to, limit).toArray()).map(({ body }) => Incidents.parsed(body))
        ),
      latest: (type, subject) =>
        client.run(during("latest"), async () => {
          const [found] = await findLatest(client, type, subject).toArray()
          return Incidents.parsedEpisode(found?.body ?? null)
        }),
      put: (incident, seen) =>
        client.run(during("put"), () => (seen === null ? insert(client, incident) : replace(client, incident, seen)))
    })
  )
)
