/**
 * Nodes and what holds them back. A restriction that ran out stays in its row until it is replaced or lifted; whether it holds is judged against the
 * instant that the caller names. Its history is append-only, and written with the change.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlError } from "effect/sql/SqlError"
import type { NodeId } from "../../schemas/Ids.ts"
import type { Environment } from "../../schemas/Job.ts"
import type { NodeLifecycle, NodeProfile, NodeRow, Restriction, RestrictionKind } from "../../schemas/NodeProfile.ts"
import { refuse, type Refusal } from "../../schemas/Refusal.ts"
import { make, NodeRegistry, type RestrictionChange } from "../NodeRegistry.ts"
import type { Outage } from "../Outage.ts"
import { PgClient } from "./PgClient.ts"
import { freeText, fromFreeText, maybeWhole, text, whole, type Parameter } from "./PgValues.ts"

const during = (method: string) => ({ of: "NodeRegistry", method })

/** Restrictions as JSON beside their node, so that a node is one row. */
const SELECT = `SELECT node.*, coalesce((
    SELECT json_agg(json_build_array(kind, reason, by, since, until) ORDER BY since, kind)
    FROM node_restriction WHERE node_id = node.id AND (until IS NULL OR until > $1)
  ), '[]')::text AS restrictions FROM node`

interface StoredNode {
  readonly id: NodeId
  readonly environment: Environment
  readonly profile: string
  readonly lifecycle: NodeLifecycle
  readonly generation: bigint
  readonly registered_at: bigint
  readonly last_seen_at: bigint
  readonly restrictions: string
}

type StoredRestriction = readonly [RestrictionKind, string, string, number, number | null]

const nodeOf = (stored: StoredNode): NodeRow => ({
  nodeId: stored.id,
  environment: stored.environment,
  profile: JSON.parse(stored.profile) as NodeProfile,
  lifecycle: stored.lifecycle,
  generation: Number(stored.generation),
  registeredAt: Number(stored.registered_at),
  lastSeenAt: Number(stored.last_seen_at),
  restrictions: (JSON.parse(stored.restrictions) as ReadonlyArray<StoredRestriction>).map(
    ([kind, reason, by, since, until]): Restriction => ({
      kind,
      reason: fromFreeText(reason),
      by: fromFreeText(by),
      since,
      until
    })
  )
})

const REGISTER = `INSERT INTO node (id, environment, profile, lifecycle, generation, registered_at, last_seen_at)
  VALUES ($1, $2, $3, 'registering', 1, $4, $4)
  ON CONFLICT (id) DO UPDATE SET environment = excluded.environment, profile = excluded.profile,
    generation = node.generation + 1, last_seen_at = greatest(node.last_seen_at, excluded.last_seen_at)`

const LIFECYCLE = "UPDATE node SET lifecycle = $2, last_seen_at = greatest(last_seen_at, $3) WHERE id = $1"

const RESTRICT = `INSERT INTO node_restriction (node_id, kind, reason, by, since, until) VALUES ($1, $2, $3, $4, $5, $6)
  ON CONFLICT (node_id, kind) DO UPDATE SET reason = excluded.reason, by = excluded.by, since = excluded.since,
    until = excluded.until`

const NOTE = `INSERT INTO node_restriction_history (node_id, kind, change, reason, by, until, at)
  VALUES ($1, $2, $3, $4, $5, $6, $7)`

const LIFT = `DELETE FROM node_restriction WHERE node_id = $1 AND kind = $2 AND (until IS NULL OR until > $3) RETURNING reason`

const HISTORY = "SELECT * FROM node_restriction_history WHERE node_id = $1 ORDER BY seq"

interface StoredChange {
  readonly node_id: NodeId
  readonly kind: RestrictionKind
  readonly change: RestrictionChange["change"]
  readonly reason: string
  readonly by: string
  readonly until: bigint | null
  readonly at: bigint
}

const changeOf = (stored: StoredChange): RestrictionChange => ({
  nodeId: stored.node_id,
  kind: stored.kind,
  change: stored.change,
  reason: fromFreeText(stored.reason),
  by: fromFreeText(stored.by),
  until: stored.until === null ? null : Number(stored.until),
  at: Number(stored.at)
})

type Statement = <Row extends object>(
  text: string,
  parameters: ReadonlyArray<Parameter | null>
) => Effect.Effect<ReadonlyArray<Row>, SqlError>

/** Changes of one node come one after the other; the row that they leave is read in the same transaction. */
const changing = (
  { sql, transaction }: PgClient["Service"],
  method: string,
  nodeId: NodeId,
  now: number,
  change: (run: Statement) => Effect.Effect<void, SqlError>
): Effect.Effect<NodeRow, Refusal | Outage> => {
  const run: Statement = (statement, parameters) => sql.unsafe(statement, parameters)
  const body = Effect.gen(function* () {
    const [locked] = yield* run("SELECT id FROM node WHERE id = $1 FOR UPDATE", [text(nodeId)])
    if (locked === undefined) return null
    yield* change(run)
    const [stored] = yield* run<StoredNode>(`${SELECT} WHERE node.id = $2`, [whole(now), text(nodeId)])
    return stored === undefined ? null : nodeOf(stored)
  })
  return Effect.filterOrFail(
    transaction(during(method), body),
    (row): row is NodeRow => row !== null,
    () => refuse("not_found", "There is no such node.")
  )
}

const restrict = (client: PgClient["Service"], nodeId: NodeId, restriction: Restriction) => {
  const { kind, reason, by, since, until } = restriction
  return changing(client, "restrict", nodeId, since, (run) =>
    Effect.gen(function* () {
      const said = [freeText(reason), freeText(by)]
      yield* run(RESTRICT, [text(nodeId), text(kind), ...said, whole(since), maybeWhole(until)])
      yield* run(NOTE, [text(nodeId), text(kind), text("set"), ...said, maybeWhole(until), whole(since)])
    })
  )
}

const lift = (client: PgClient["Service"], nodeId: NodeId, kind: RestrictionKind, by: string, at: number) =>
  changing(client, "lift", nodeId, at, (run) =>
    Effect.gen(function* () {
      const [lifted] = yield* run<{ reason: string }>(LIFT, [text(nodeId), text(kind), whole(at)])
      if (lifted === undefined) return
      const note = [text(nodeId), text(kind), text("lifted"), text(lifted.reason), freeText(by), null, whole(at)]
      yield* run(NOTE, note)
    })
  )

export const layer: Layer.Layer<NodeRegistry, never, PgClient> = Layer.effect(
  NodeRegistry,
  Effect.map(PgClient, (client) => {
    const find = (method: string, nodeId: NodeId, now: number) =>
      Effect.map(
        client.query<StoredNode>(during(method), `${SELECT} WHERE node.id = $2`, [whole(now), text(nodeId)]),
        ([stored]) => (stored === undefined ? null : nodeOf(stored))
      )
    return make({
      register: ({ nodeId, environment, profile, at }) =>
        Effect.gen(function* () {
          const values = [text(nodeId), text(environment), text(JSON.stringify(profile)), whole(at)]
          const body = Effect.gen(function* () {
            yield* client.sql.unsafe(REGISTER, values)
            const rows = yield* client.sql.unsafe<StoredNode>(`${SELECT} WHERE node.id = $2`, [whole(at), text(nodeId)])
            return rows[0]
          })
          const stored = yield* client.transaction(during("register"), body)
          return stored === undefined
            ? yield* Effect.die(new Error(`registering ${nodeId} left no row`))
            : nodeOf(stored)
        }),
      get: (nodeId, now) => find("get", nodeId, now),
      list: (now) =>
        Effect.map(client.query<StoredNode>(during("list"), `${SELECT} ORDER BY node.id`, [whole(now)]), (rows) =>
          rows.map(nodeOf)
        ),
      setLifecycle: (nodeId, lifecycle, at) =>
        Effect.asVoid(client.query(during("setLifecycle"), LIFECYCLE, [text(nodeId), text(lifecycle), whole(at)])),
      restrict: (nodeId, restriction) => restrict(client, nodeId, restriction),
      lift: (nodeId, kind, by, at) => lift(client, nodeId, kind, by, at),
      history: (nodeId) =>
        Effect.map(client.query<StoredChange>(during("history"), HISTORY, [text(nodeId)]), (rows) => rows.map(changeOf))
    })
  })
)
