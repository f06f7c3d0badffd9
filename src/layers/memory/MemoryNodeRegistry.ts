/**
 * Nodes and what holds them back, in memory. A restriction that ran out stays until it is replaced or lifted; whether it holds is judged
 * against the instant that the caller names.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { NodeId } from "../../schemas/Ids.ts"
import type { NodeRow } from "../../schemas/NodeProfile.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import { type Driver, make, NodeRegistry } from "../NodeRegistry.ts"
import { byText } from "./MemoryRecords.ts"
import { MemoryState, type State, type StoredNode } from "./MemoryState.ts"

const driver = (state: State): Driver => ({
  register: ({ nodeId, environment, profile, at }) =>
    Effect.sync(() => {
      const known = state.nodes.get(nodeId)
      const { lifecycle, generation, registeredAt, lastSeenAt } = known?.row ?? {
        lifecycle: "registering",
        generation: 0,
        registeredAt: at,
        lastSeenAt: at
      }
      const row = {
        nodeId,
        environment,
        profile,
        lifecycle,
        generation: generation + 1,
        registeredAt,
        lastSeenAt: Math.max(lastSeenAt, at)
      }
      const stored = known ?? { row, restrictions: new Map(), history: [] }
      stored.row = row
      state.nodes.set(nodeId, stored)
      return rowAt(stored, at)
    }),
  get: (nodeId, now) =>
    Effect.sync(() => {
      const stored = state.nodes.get(nodeId)
      return stored === undefined ? null : rowAt(stored, now)
    }),
  list: (now) =>
    Effect.sync(() =>
      [...state.nodes.values()].map((stored) => rowAt(stored, now)).toSorted((a, b) => byText(a.nodeId, b.nodeId))
    ),
  setLifecycle: (nodeId, lifecycle, at) =>
    Effect.sync(() => {
      const stored = state.nodes.get(nodeId)
      if (stored === undefined) return
      stored.row = { ...stored.row, lifecycle, lastSeenAt: Math.max(stored.row.lastSeenAt, at) }
    }),
  restrict: (nodeId, restriction) =>
    change(state, nodeId, restriction.since, (stored) => {
      const { kind, reason, by, since, until } = restriction
      stored.restrictions.set(kind, restriction)
      stored.history.push({ nodeId, kind, change: "set", reason, by, until, at: since })
    }),
  lift: (nodeId, kind, by, at) =>
    change(state, nodeId, at, (stored) => {
      const held = rowAt(stored, at).restrictions.find((restriction) => restriction.kind === kind)
      if (held === undefined) return
      stored.restrictions.delete(kind)
      stored.history.push({ nodeId, kind, change: "lifted", reason: held.reason, by, until: null, at })
    }),
  history: (nodeId) => Effect.sync(() => [...(state.nodes.get(nodeId)?.history ?? [])])
})

const rowAt = ({ row, restrictions }: StoredNode, now: number): NodeRow => ({
  ...row,
  restrictions: [...restrictions.values()]
    .filter(({ until }) => until === null || until > now)
    .toSorted((a, b) => a.since - b.since || byText(a.kind, b.kind))
})

const change = (
  state: State,
  nodeId: NodeId,
  now: number,
  write: (stored: StoredNode) => void
): Effect.Effect<NodeRow, Refusal> =>
  Effect.suspend(() => {
    const stored = state.nodes.get(nodeId)
    if (stored === undefined) return Effect.fail(refuse("not_found", "There is no such node."))
    write(stored)
    return Effect.succeed(rowAt(stored, now))
  })

export const layer: Layer.Layer<NodeRegistry, never, MemoryState> = Layer.effect(
  NodeRegistry,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
