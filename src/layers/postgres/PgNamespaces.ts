/** Namespaces in PostgreSQL. Each is born with its empty balance, by a trigger of the table. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { NamespaceId } from "../../schemas/Ids.ts"
import type { Environment } from "../../schemas/Job.ts"
import type { Namespace, NamespaceRules } from "../../schemas/Namespace.ts"
import { refuse } from "../../schemas/Refusal.ts"
import { make, Namespaces } from "../Namespaces.ts"
import { PgClient } from "./PgClient.ts"
import { freeText, fromFreeText, text, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "Namespaces", method })

export interface StoredNamespace {
  readonly id: NamespaceId
  readonly name: string
  readonly environment: Environment
  readonly rules: string
  readonly created_at: bigint
}

export const namespaceOf = (stored: StoredNamespace): Namespace => ({
  id: stored.id,
  name: fromFreeText(stored.name),
  environment: stored.environment,
  rules: JSON.parse(stored.rules) as NamespaceRules,
  createdAt: Number(stored.created_at)
})

const INSERT = `INSERT INTO namespace (id, name, environment, rules, created_at) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT DO NOTHING RETURNING *`

const create = ({ query }: PgClient["Service"], namespace: Namespace) =>
  Effect.gen(function* () {
    const { id, name, environment, rules, createdAt } = namespace
    const values = [text(id), freeText(name), text(environment), text(JSON.stringify(rules)), whole(createdAt)]
    const [made] = yield* query<StoredNamespace>(during("create"), INSERT, values)
    if (made !== undefined) return namespace
    const [known] = yield* query<StoredNamespace>(during("create"), "SELECT * FROM namespace WHERE id = $1", [text(id)])
    if (known === undefined) {
      return yield* refuse("conflict", `The name "${name}" is taken in ${environment}. Choose another.`)
    }
    const found = namespaceOf(known)
    return found.name === name && found.environment === environment
      ? found
      : yield* refuse("conflict", "This namespace exists already, under another name.")
  })

const amend = ({ query }: PgClient["Service"], id: NamespaceId, rules: NamespaceRules) =>
  Effect.gen(function* () {
    const [changed] = yield* query<StoredNamespace>(
      during("amend"),
      "UPDATE namespace SET rules = $2 WHERE id = $1 RETURNING *",
      [text(id), text(JSON.stringify(rules))]
    )
    return changed === undefined ? yield* refuse("not_found", "There is no such namespace.") : namespaceOf(changed)
  })

const byName = (a: Namespace, b: Namespace) => (a.name === b.name ? (a.id < b.id ? -1 : 1) : a.name < b.name ? -1 : 1)

export const layer: Layer.Layer<Namespaces, never, PgClient> = Layer.effect(
  Namespaces,
  Effect.map(PgClient, (client) =>
    make({
      create: (namespace) => create(client, namespace),
      get: (id) =>
        Effect.map(
          client.query<StoredNamespace>(during("get"), "SELECT * FROM namespace WHERE id = $1", [text(id)]),
          ([stored]) => (stored === undefined ? null : namespaceOf(stored))
        ),
      list: Effect.map(client.survey<StoredNamespace>(during("list"), "SELECT * FROM namespace"), (rows) =>
        rows.map(namespaceOf).toSorted(byName)
      ),
      amend: (id, rules) => amend(client, id, rules)
    })
  )
)
