/** Nodes as the registry and the live copy know them, and holding them back or letting them go. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { NodeSupervisor } from "../../../actors/node/NodeSupervisor.ts"
import { LiveNodes } from "../../../layers/LiveNodes.ts"
import { NodeRegistry } from "../../../layers/NodeRegistry.ts"
import { NodeId } from "../../../schemas/Ids.ts"
import type { NodePresence, NodeRow, RestrictionKind } from "../../../schemas/NodeProfile.ts"
import { refuse } from "../../../schemas/Refusal.ts"
import type { Call } from "../../Call.ts"
import { audit, readOrder, readReason } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { open } from "../../Route.ts"

/** `until` in epoch milliseconds; absent or null: until somebody lifts it. */
export const RestrictOrder = Schema.Struct({ until: Schema.optionalKey(Schema.NullOr(Schema.Natural)) })
const readRestrict = readOrder(RestrictOrder)

const isNodeId = Schema.is(NodeId)
const nodeNotFound = refuse("not_found", "There is no such node.")

const nodeIdOf = (call: Call) => {
  const id = call.params["id"]?.toLowerCase()
  return isNodeId(id) ? Effect.succeed(id) : Effect.fail(nodeNotFound)
}

const list = open(
  Effect.fnUntraced(function* () {
    const now = yield* Clock.currentTimeMillis
    const rows = yield* (yield* NodeRegistry).list(now)
    const live = new Map((yield* (yield* LiveNodes).list(now)).map((presence) => [presence.nodeId, presence]))
    return plain({ data: rows.map((row) => lineOf(row, live.get(row.nodeId))) })
  })
)

const lineOf = (row: NodeRow, presence: NodePresence | undefined) => ({
  nodeId: row.nodeId,
  name: row.profile.name,
  environment: row.environment,
  lifecycle: presence?.lifecycle ?? row.lifecycle,
  link: presence === undefined ? "offline" : presence.healthy ? "online" : "suspect",
  region: presence?.region ?? row.profile.region ?? null,
  slots: presence?.slots ?? row.profile.slots,
  leased: presence?.leased ?? 0,
  models: (presence?.models ?? row.profile.models).map(({ name }) => name),
  restrictions: row.restrictions,
  lastSeenAt: presence?.lastSeenAt ?? row.lastSeenAt
})

const get = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* nodeIdOf(call)
    const now = yield* Clock.currentTimeMillis
    const registry = yield* NodeRegistry
    const node = yield* registry.get(id, now)
    if (node === null) return yield* nodeNotFound
    const presence = yield* (yield* LiveNodes).get(id, now)
    return plain({ node, presence, history: yield* registry.history(id) })
  })
)

const restrict = (kind: RestrictionKind) =>
  open(
    Effect.fnUntraced(function* (call: Call) {
      const id = yield* nodeIdOf(call)
      const order = yield* readRestrict(call)
      const until = order.body.until ?? null
      if (until !== null && until <= order.at) {
        return yield* refuse("invalid_request", "until must lie in the future.", { param: "until" })
      }
      const { reason, by, at } = order
      const node = yield* (yield* NodeSupervisor).restrict(id, { kind, reason, by, since: at, until })
      yield* audit(order, `node.${kind}`, `node/${id}`, { until })
      return plain({ node })
    })
  )

const lift = (action: string, kinds: readonly [RestrictionKind, ...ReadonlyArray<RestrictionKind>]) =>
  open(
    Effect.fnUntraced(function* (call: Call) {
      const id = yield* nodeIdOf(call)
      const order = yield* readReason(call)
      const supervisor = yield* NodeSupervisor
      const [first, ...more] = kinds
      let node = yield* supervisor.lift(id, first, order.by)
      for (const kind of more) node = yield* supervisor.lift(id, kind, order.by)
      yield* audit(order, action, `node/${id}`, { lifted: [...kinds] })
      return plain({ node })
    })
  )

const drain = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* nodeIdOf(call)
    const order = yield* readReason(call)
    yield* (yield* NodeSupervisor).drain(id)
    yield* audit(order, "node.drain", `node/${id}`)
    return plain({ nodeId: id, draining: true })
  })
)

export const nodeRoutes = {
  listNodes: list,
  getNode: get,
  pauseNode: restrict("paused"),
  resumeNode: lift("node.resume", ["paused"]),
  freezeNode: restrict("frozen"),
  unfreezeNode: lift("node.unfreeze", ["frozen"]),
  shadowBanNode: restrict("shadow_banned"),
  maintainNode: restrict("maintenance"),
  reinstateNode: lift("node.reinstate", [
    "shadow_banned",
    "cooldown",
    "quarantined",
    "maintenance",
    "paused",
    "frozen"
  ]),
  drainNode: drain
}
