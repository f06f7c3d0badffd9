/** Leaves of receipts and roots of hours in memory, by job id and in order. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JobId } from "../../schemas/Ids.ts"
import { BLOCK_LEAVES } from "../../schemas/MerkleTree.ts"
import { type Driver, type Ended, HOUR_MS, hourOf, type Leaf, make, type NewLeaf, Receipts } from "../Receipts.ts"
import { byText } from "./MemoryRecords.ts"
import { MemoryState, type State } from "./MemoryState.ts"

const byEnd = (a: Ended, b: Ended) => a.endedAt - b.endedAt || byText(a.jobId, b.jobId)

const ofHour = ({ leaves }: State, hour: number): ReadonlyArray<Leaf> =>
  [...leaves.values()].filter((leaf) => leaf.hour === hour).toSorted((a, b) => byText(a.jobId, b.jobId))

const put = (state: State, { jobId, endedAt, hash, blind }: NewLeaf): Leaf => {
  const known = state.leaves.get(jobId)
  if (known !== undefined) return known
  const open = (state.roots.at(-1)?.root.statement.hour ?? -HOUR_MS) + HOUR_MS
  const leaf = { jobId, hour: Math.max(hourOf(endedAt), open), hash, blind }
  state.leaves.set(jobId, leaf)
  return leaf
}

const find = (state: State, jobId: JobId) => {
  const leaf = state.leaves.get(jobId)
  if (leaf === undefined) return null
  const closed = state.roots.find(({ root }) => root.statement.hour === leaf.hour)
  if (closed === undefined) return { leaf, closed: null }
  const leaves = ofHour(state, leaf.hour)
  const block = Math.floor(leaves.findIndex((each) => each.jobId === jobId) / BLOCK_LEAVES)
  const from = block * BLOCK_LEAVES
  return {
    leaf,
    closed: {
      root: closed.root,
      block,
      leaves: leaves.slice(from, from + BLOCK_LEAVES),
      blocks: closed.blocks.map(({ hash }) => hash)
    }
  }
}

const driver = (state: State): Driver => ({
  due: (after, before, limit) =>
    Effect.sync(() =>
      [...state.jobs.values()]
        .flatMap(({ row: { finishedAt, job } }) => (finishedAt === null ? [] : { endedAt: finishedAt, jobId: job.id }))
        .filter((ended) => ended.endedAt < before && byEnd(ended, after) > 0 && !state.leaves.has(ended.jobId))
        .toSorted(byEnd)
        .slice(0, Math.max(0, limit))
    ),
  put: (leaves) => Effect.sync(() => leaves.map((leaf) => put(state, leaf))),
  leaves: (hour, after, limit) =>
    Effect.sync(() =>
      ofHour(state, hour)
        .filter(({ jobId }) => after === null || byText(jobId, after) > 0)
        .slice(0, Math.max(0, limit))
    ),
  close: (root, blocks) =>
    Effect.sync(() => {
      const { number, hour, size } = root.statement
      const before = state.roots.at(-1)?.root.statement ?? { number: 0, hour: -1 }
      if (number !== before.number + 1 || hour <= before.hour || ofHour(state, hour).length !== size) return false
      state.roots.push({ root, blocks })
      return true
    }),
  last: Effect.sync(() => state.roots.at(-1)?.root ?? null),
  roots: (after, limit) =>
    Effect.sync(() =>
      state.roots
        .map(({ root }) => root)
        .filter(({ statement }) => statement.number > after)
        .slice(0, Math.max(0, limit))
    ),
  find: (jobId) => Effect.sync(() => find(state, jobId))
})

export const layer: Layer.Layer<Receipts, never, MemoryState> = Layer.effect(
  Receipts,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
