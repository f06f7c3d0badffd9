/**
 * Nodes and what holds them back. A restriction that ran out stays in its row until it is replaced or lifted; whether it holds is judged
 * against the instant that the caller names. Its history is append-only.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { NodeId } from "../../schemas/Ids.ts"
import type { Environment } from "../../schemas/Job.ts"
import type { NodeLifecycle, NodeProfile, NodeRow, Restriction, RestrictionKind } from "../../schemas/NodeProfile.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import { make, NodeRegistry, type Registration, type RestrictionChange } from "../NodeRegistry.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "NodeRegistry", method })

export const layer: Layer.Layer<NodeRegistry, never, SqliteClient> = Layer.effect(
  NodeRegistry,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      register: (asked) => write(during("register"), (sql) => Result.succeed(register(sql, asked))),
      get: (nodeId, now) => read(during("get"), (sql) => findNode(sql, nodeId, now)),
      list: (now) =>
        read(during("list"), (sql) =>
          sql("SELECT * FROM node ORDER BY id")
            .all()
            .map((stored) => nodeOf(sql, stored, now))
        ),
      setLifecycle: (nodeId, lifecycle, at) =>
        write(during("setLifecycle"), (sql) => {
          sql("UPDATE node SET lifecycle = ?, last_seen_at = max(last_seen_at, ?) WHERE id = ?").run(
            lifecycle,
            at,
            nodeId
          )
          return Result.void
        }),
      restrict: (nodeId, restriction) => write(during("restrict"), (sql) => restrict(sql, nodeId, restriction)),
      lift: (nodeId, kind, by, at) => write(during("lift"), (sql) => lift(sql, nodeId, kind, by, at)),
      history: (nodeId) => read(during("history"), (sql) => history(sql, nodeId))
    })
  })
)

const nodeOf = (sql: Sql, stored: Record<string, unknown>, now: number): NodeRow => {
  const nodeId = stored["id"] as NodeId
  return {
    nodeId,
    environment: stored["environment"] as Environment,
    profile: JSON.parse(stored["profile"] as string) as NodeProfile,
    lifecycle: stored["lifecycle"] as NodeLifecycle,
    generation: stored["generation"] as number,
    registeredAt: stored["registered_at"] as number,
    lastSeenAt: stored["last_seen_at"] as number,
    restrictions: restrictionsOf(sql, nodeId, now)
  }
}

const restrictionsOf = (sql: Sql, nodeId: NodeId, now: number): ReadonlyArray<Restriction> =>
  sql(`SELECT kind, reason, by, since, until FROM node_restriction
    WHERE node_id = ? AND (until IS NULL OR until > ?) ORDER BY since, kind`)
    .all(nodeId, now)
    .map(restrictionOf)

const restrictionOf = (stored: Record<string, unknown>): Restriction => ({
  kind: stored["kind"] as RestrictionKind,
  reason: stored["reason"] as string,
  by: stored["by"] as string,
  since: stored["since"] as number,
  until: stored["until"] as number | null
})

const findNode = (sql: Sql, nodeId: NodeId, now: number): NodeRow | null => {
  const stored = sql("SELECT * FROM node WHERE id = ?").get(nodeId)
  return stored === undefined ? null : nodeOf(sql, stored, now)
}

const register = (sql: Sql, { nodeId, environment, profile, at }: Registration): NodeRow => {
  const stored = sql(`INSERT INTO node (id, environment, profile, lifecycle, registered_at, last_seen_at)
    VALUES (:id, :environment, :profile, 'registering', :at, :at)
    ON CONFLICT (id) DO UPDATE SET environment = excluded.environment, profile = excluded.profile,
      generation = generation + 1, last_seen_at = max(last_seen_at, excluded.last_seen_at)
    RETURNING *`).get({ id: nodeId, environment, profile: JSON.stringify(profile), at })
  if (stored === undefined) throw new Error(`registering ${nodeId} returned no row`)
  return nodeOf(sql, stored, at)
}

const unknownNode = () => Result.fail(refuse("not_found", "There is no such node."))

const restrict = (sql: Sql, nodeId: NodeId, restriction: Restriction): Result.Result<NodeRow, Refusal> => {
  const node = findNode(sql, nodeId, restriction.since)
  if (node === null) return unknownNode()
  const { kind, reason, by, since, until } = restriction
  sql(`INSERT INTO node_restriction (node_id, kind, reason, by, since, until) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (node_id, kind) DO UPDATE SET reason = excluded.reason, by = excluded.by, since = excluded.since,
      until = excluded.until`).run(nodeId, kind, reason, by, since, until)
  append(sql, { nodeId, kind, change: "set", reason, by, until, at: since })
  return Result.succeed({ ...node, restrictions: restrictionsOf(sql, nodeId, since) })
}

const lift = (
  sql: Sql,
  nodeId: NodeId,
  kind: RestrictionKind,
  by: string,
  at: number
): Result.Result<NodeRow, Refusal> => {
  const node = findNode(sql, nodeId, at)
  if (node === null) return unknownNode()
  const lifted = node.restrictions.find((restriction) => restriction.kind === kind)
  if (lifted === undefined) return Result.succeed(node)
  sql("DELETE FROM node_restriction WHERE node_id = ? AND kind = ?").run(nodeId, kind)
  append(sql, { nodeId, kind, change: "lifted", reason: lifted.reason, by, until: null, at })
  return Result.succeed({ ...node, restrictions: node.restrictions.filter((other) => other !== lifted) })
}

const append = (sql: Sql, { nodeId, kind, change, reason, by, until, at }: RestrictionChange): void => {
  sql(`INSERT INTO node_restriction_history (node_id, kind, change, reason, by, until, at)
    VALUES (?, ?, ?, ?, ?, ?, ?)`).run(nodeId, kind, change, reason, by, until, at)
}

const history = (sql: Sql, nodeId: NodeId): ReadonlyArray<RestrictionChange> =>
  sql("SELECT * FROM node_restriction_history WHERE node_id = ? ORDER BY seq").all(nodeId).map(changeOf)

const changeOf = (stored: Record<string, unknown>): RestrictionChange => ({
  nodeId: stored["node_id"] as NodeId,
  kind: stored["kind"] as RestrictionKind,
  change: stored["change"] as RestrictionChange["change"],
  reason: stored["reason"] as string,
  by: stored["by"] as string,
  until: stored["until"] as number | null,
  at: stored["at"] as number
})
