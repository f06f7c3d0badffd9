/** The models ever served, in the embedded database. Learning only adds: endpoints grow, the first date stays. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { Endpoint, Environment } from "../../schemas/Job.ts"
import { Catalog, type KnownModel, make } from "../Catalog.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "Catalog", method })

export const layer: Layer.Layer<Catalog, never, SqliteClient> = Layer.effect(
  Catalog,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      learn: (models) =>
        write(during("learn"), (sql) => {
          for (const model of models) learn(sql, model)
          return Result.void
        }),
      get: (environment, name) => read(during("get"), (sql) => findModel(sql, environment, name)),
      list: (environment) =>
        read(during("list"), (sql) =>
          sql("SELECT * FROM model WHERE environment = ? ORDER BY name").all(environment).map(modelOf)
        )
    })
  })
)

const modelOf = (stored: Record<string, unknown>): KnownModel => ({
  name: stored["name"] as string,
  environment: stored["environment"] as Environment,
  endpoints: JSON.parse(stored["endpoints"] as string) as ReadonlyArray<Endpoint>,
  firstSeenAt: stored["first_seen_at"] as number
})

const findModel = (sql: Sql, environment: Environment, name: string): KnownModel | null => {
  const stored = sql("SELECT * FROM model WHERE environment = ? AND name = ?").get(environment, name)
  return stored === undefined ? null : modelOf(stored)
}

const learn = (sql: Sql, model: KnownModel): void => {
  const known = findModel(sql, model.environment, model.name)
  const endpoints = [...new Set([...(known?.endpoints ?? []), ...model.endpoints])]
  if (known?.endpoints.length === endpoints.length) return
  sql(`INSERT INTO model (environment, name, endpoints, first_seen_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (environment, name) DO UPDATE SET endpoints = excluded.endpoints`).run(
    model.environment,
    model.name,
    JSON.stringify(endpoints),
    model.firstSeenAt
  )
}
