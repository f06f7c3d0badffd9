/** Leaves of receipts and roots of hours in the embedded database. Writes run one after the other there, so an hour that is closed has all its leaves. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { JobId } from "../../schemas/Ids.ts"
import { BLOCK_LEAVES } from "../../schemas/MerkleTree.ts"
import type { SignedRoot } from "../../schemas/Receipt.ts"
import { type Block, type Closed, HOUR_MS, hourOf, type Leaf, make, type NewLeaf, Receipts } from "../Receipts.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "Receipts", method })

export const layer: Layer.Layer<Receipts, never, SqliteClient> = Layer.effect(
  Receipts,
  Effect.map(SqliteClient, ({ read, write }) =>
    make({
      due: (after, before, limit) =>
        read(during("due"), (sql) =>
          sql(DUE)
            .all(after.endedAt, after.jobId, before, limit)
            .map((row) => ({ endedAt: row["finished_at"] as number, jobId: row["id"] as JobId }))
        ),
      put: (leaves) => write(during("put"), (sql) => Result.succeed(leaves.map((leaf) => put(sql, leaf)))),
      leaves: (hour, after, limit) =>
        read(during("leaves"), (sql) =>
          sql(LEAVES)
            .all(hour, after ?? "", limit)
            .map(leafOf)
        ),
      close: (root, blocks) => write(during("close"), (sql) => Result.succeed(close(sql, root, blocks))),
      last: read(during("last"), last),
      roots: (after, limit) =>
        read(during("roots"), (sql) =>
          sql("SELECT body FROM receipt_root WHERE number > ? ORDER BY number LIMIT max(?, 0)")
            .all(after, limit)
            .map(rootOf)
        ),
      find: (jobId) => read(during("find"), (sql) => find(sql, jobId))
    })
  )
)

const DUE = `SELECT finished_at, id FROM job WHERE (finished_at, id) > (?, ?) AND finished_at < ?
  AND NOT EXISTS (SELECT 1 FROM receipt_leaf WHERE job_id = job.id) ORDER BY finished_at, id LIMIT max(?, 0)`

const LEAVES = "SELECT * FROM receipt_leaf WHERE hour = ? AND job_id > ? ORDER BY job_id LIMIT max(?, 0)"

const leafOf = (row: Record<string, unknown>): Leaf => ({
  jobId: row["job_id"] as JobId,
  hour: row["hour"] as number,
  hash: row["hash"] as string,
  blind: row["blind"] as string
})

const rootOf = (row: Record<string, unknown>): SignedRoot => JSON.parse(row["body"] as string) as SignedRoot

const last = (sql: Sql): SignedRoot | null => {
  const stored = sql("SELECT body FROM receipt_root ORDER BY number DESC LIMIT 1").get()
  return stored === undefined ? null : rootOf(stored)
}

const leaf = (sql: Sql, jobId: JobId): Leaf | null => {
  const stored = sql("SELECT * FROM receipt_leaf WHERE job_id = ?").get(jobId)
  return stored === undefined ? null : leafOf(stored)
}

const put = (sql: Sql, { jobId, endedAt, hash, blind }: NewLeaf): Leaf => {
  const known = leaf(sql, jobId)
  if (known !== null) return known
  const closed = last(sql)
  const hour = Math.max(hourOf(endedAt), closed === null ? 0 : closed.statement.hour + HOUR_MS)
  sql("INSERT INTO receipt_leaf (job_id, hour, hash, blind) VALUES (?, ?, ?, ?)").run(jobId, hour, hash, blind)
  return { jobId, hour, hash, blind }
}

const close = (sql: Sql, root: SignedRoot, blocks: ReadonlyArray<Block>): boolean => {
  const { number, hour, size } = root.statement
  const before = last(sql)?.statement ?? { number: 0, hour: -1 }
  if (number !== before.number + 1 || hour <= before.hour) return false
  const there = sql("SELECT count(*) AS there FROM receipt_leaf WHERE hour = ?").get(hour)
  if (Number(there?.["there"]) !== size) return false
  sql("INSERT INTO receipt_root (number, hour, body) VALUES (?, ?, ?)").run(number, hour, JSON.stringify(root))
  for (const [block, { firstJobId, hash }] of blocks.entries()) {
    sql("INSERT INTO receipt_block (hour, block, first_job_id, hash) VALUES (?, ?, ?, ?)").run(
      hour,
      block,
      firstJobId,
      hash
    )
  }
  return true
}

const find = (sql: Sql, jobId: JobId): { readonly leaf: Leaf; readonly closed: Closed | null } | null => {
  const found = leaf(sql, jobId)
  if (found === null) return null
  const root = sql("SELECT body FROM receipt_root WHERE hour = ?").get(found.hour)
  if (root === undefined) return { leaf: found, closed: null }
  const own = sql(`SELECT block, first_job_id FROM receipt_block WHERE hour = ? AND first_job_id <= ?
    ORDER BY block DESC LIMIT 1`).get(found.hour, jobId)
  const leaves = sql("SELECT * FROM receipt_leaf WHERE hour = ? AND job_id >= ? ORDER BY job_id LIMIT ?").all(
    found.hour,
    String(own?.["first_job_id"] ?? ""),
    BLOCK_LEAVES
  )
  const blocks = sql("SELECT hash FROM receipt_block WHERE hour = ? ORDER BY block").all(found.hour)
  return {
    leaf: found,
    closed: {
      root: rootOf(root),
      block: Number(own?.["block"] ?? 0),
      leaves: leaves.map(leafOf),
      blocks: blocks.map(({ hash }) => hash as string)
    }
  }
}
