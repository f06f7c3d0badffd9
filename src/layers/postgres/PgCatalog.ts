/** The models ever served. Learning only adds: endpoints grow, the first date stays. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Endpoint, Environment } from "../../schemas/Job.ts"
import { Catalog, type KnownModel, make } from "../Catalog.ts"
import { PgClient } from "./PgClient.ts"
import { freeText, fromFreeText, text, texts, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "Catalog", method })

interface StoredModel {
  readonly environment: Environment
  readonly name: string
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly first_seen_at: bigint
}

const modelOf = (stored: StoredModel): KnownModel => ({
  name: fromFreeText(stored.name),
  environment: stored.environment,
  endpoints: stored.endpoints,
  firstSeenAt: Number(stored.first_seen_at)
})

/** New endpoints go behind the known ones. */
const LEARN = `INSERT INTO model (environment, name, endpoints, first_seen_at) VALUES ($1, $2, $3, $4)
  ON CONFLICT (environment, name) DO UPDATE SET endpoints = model.endpoints || ARRAY(
    SELECT added FROM unnest(excluded.endpoints) WITH ORDINALITY AS new (added, place)
    WHERE added <> ALL (model.endpoints) ORDER BY place
  ) WHERE NOT (model.endpoints @> excluded.endpoints)`

/** In one order, so that two daemons that learn the same models at once never wait for each other in a circle. */
const inOrder = (models: ReadonlyArray<KnownModel>) =>
  models.toSorted((a, b) => (a.environment + a.name < b.environment + b.name ? -1 : 1))

export const layer: Layer.Layer<Catalog, never, PgClient> = Layer.effect(
  Catalog,
  Effect.map(PgClient, ({ query, sql, transaction }) =>
    make({
      learn: (models) =>
        transaction(
          during("learn"),
          Effect.forEach(
            inOrder(models),
            ({ environment, name, endpoints, firstSeenAt }) =>
              sql.unsafe(LEARN, [
                text(environment),
                freeText(name),
                texts([...new Set(endpoints)]),
                whole(firstSeenAt)
              ]),
            { discard: true }
          )
        ),
      get: (environment, name) =>
        Effect.map(
          query<StoredModel>(during("get"), "SELECT * FROM model WHERE environment = $1 AND name = $2", [
            text(environment),
            freeText(name)
          ]),
          ([stored]) => (stored === undefined ? null : modelOf(stored))
        ),
      list: (environment) =>
        Effect.map(
          query<StoredModel>(during("list"), "SELECT * FROM model WHERE environment = $1", [text(environment)]),
          (rows) => rows.map(modelOf).toSorted((a, b) => (a.name < b.name ? -1 : 1))
        )
    })
  )
)
