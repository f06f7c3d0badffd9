/** A namespace's row as `Namespace`; the rules are one JSON text, since nothing ever asks for one of them. */
import type { NamespaceId } from "../../schemas/Ids.ts"
import type { Environment } from "../../schemas/Job.ts"
import type { Namespace, NamespaceRules } from "../../schemas/Namespace.ts"
import type { Sql } from "./Statements.ts"

export const namespaceOf = (stored: Record<string, unknown>): Namespace => ({
  id: stored["id"] as NamespaceId,
  name: stored["name"] as string,
  environment: stored["environment"] as Environment,
  rules: JSON.parse(stored["rules"] as string) as NamespaceRules,
  createdAt: stored["created_at"] as number
})

export const findNamespace = (sql: Sql, id: NamespaceId): Namespace | null => {
  const stored = sql("SELECT * FROM namespace WHERE id = ?").get(id)
  return stored === undefined ? null : namespaceOf(stored)
}
