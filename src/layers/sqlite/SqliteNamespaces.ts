/** Namespaces in the embedded database. Each is born with its empty balance, so that no later transaction has to ask whether there is one. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { NamespaceId } from "../../schemas/Ids.ts"
import type { Namespace, NamespaceRules } from "../../schemas/Namespace.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import { make, Namespaces } from "../Namespaces.ts"
import { insertAccount } from "./CreditRows.ts"
import { findNamespace, namespaceOf } from "./NamespaceRows.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "Namespaces", method })

export const layer: Layer.Layer<Namespaces, never, SqliteClient> = Layer.effect(
  Namespaces,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      create: (namespace) => write(during("create"), (sql) => create(sql, namespace)),
      get: (id) => read(during("get"), (sql) => findNamespace(sql, id)),
      list: read(during("list"), (sql) => sql("SELECT * FROM namespace ORDER BY name, id").all().map(namespaceOf)),
      amend: (id, rules) => write(during("amend"), (sql) => amend(sql, id, rules))
    })
  })
)

const create = (sql: Sql, namespace: Namespace): Result.Result<Namespace, Refusal> => {
  const { id, name, environment, rules, createdAt } = namespace
  const known = findNamespace(sql, id)
  if (known?.name === name && known.environment === environment) return Result.succeed(known)
  if (known !== null) return Result.fail(refuse("conflict", "This namespace exists already, under another name."))
  const taken = sql("SELECT 1 FROM namespace WHERE environment = ? AND name = ?").get(environment, name)
  if (taken !== undefined) {
    return Result.fail(refuse("conflict", `The name "${name}" is taken in ${environment}. Choose another.`))
  }
  sql("INSERT INTO namespace (id, name, environment, rules, created_at) VALUES (?, ?, ?, ?, ?)").run(
    id,
    name,
    environment,
    JSON.stringify(rules),
    createdAt
  )
  insertAccount(sql, id)
  return Result.succeed(namespace)
}

const amend = (sql: Sql, id: NamespaceId, rules: NamespaceRules): Result.Result<Namespace, Refusal> => {
  const known = findNamespace(sql, id)
  if (known === null) return Result.fail(refuse("not_found", "There is no such namespace."))
  sql("UPDATE namespace SET rules = ? WHERE id = ?").run(JSON.stringify(rules), id)
  return Result.succeed({ ...known, rules })
}
