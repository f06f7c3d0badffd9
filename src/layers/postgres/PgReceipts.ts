/**
 * Leaves of receipts and roots of hours in PostgreSQL. Who puts leaves shares a lock that who closes an hour has alone, so a closed hour has all its
 * leaves and no leaf comes into it later.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JobId } from "../../schemas/Ids.ts"
import { BLOCK_LEAVES } from "../../schemas/MerkleTree.ts"
import type { SignedRoot } from "../../schemas/Receipt.ts"
import { type Block, HOUR_MS, hourOf, type Leaf, make, type NewLeaf, Receipts } from "../Receipts.ts"
import { PgClient } from "./PgClient.ts"
import { integers, limited, text, texts, whole, wholes } from "./PgValues.ts"

const during = (method: string) => ({ of: "Receipts", method })

/** Of all that lock in this database, the roots: four letters of their name. One lock a schema. */
const LOCK_CLASS = 0x726f6f74
const SHARE = `SELECT pg_advisory_xact_lock_shared(${LOCK_CLASS}, hashtext(current_schema()))`
const LOCK = `SELECT pg_advisory_xact_lock(${LOCK_CLASS}, hashtext(current_schema()))`

interface StoredLeaf {
  readonly job_id: JobId
  readonly hour: bigint
  readonly hash: string
  readonly blind: string
}

const leafOf = ({ job_id, hour, hash, blind }: StoredLeaf): Leaf => ({ jobId: job_id, hour: Number(hour), hash, blind })

interface StoredRoot {
  readonly body: string
}

const rootOf = ({ body }: StoredRoot): SignedRoot => JSON.parse(body) as SignedRoot

export const DUE = `SELECT finished_at, id FROM job WHERE (finished_at, id) > ($1, $2) AND finished_at < $3
  AND NOT EXISTS (SELECT FROM receipt_leaf WHERE job_id = job.id) ORDER BY finished_at, id LIMIT $4`
export const LEAVES = "SELECT * FROM receipt_leaf WHERE hour = $1 AND job_id > $2 ORDER BY job_id LIMIT $3"
const LAST = "SELECT body FROM receipt_root ORDER BY number DESC LIMIT 1"
const INSERT = `INSERT INTO receipt_leaf (job_id, hour, hash, blind)
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) ON CONFLICT (job_id) DO NOTHING`
const FOUND = "SELECT * FROM receipt_leaf WHERE job_id = ANY ($1)"

type Client = PgClient["Service"]

const put = ({ sql, transaction }: Client, leaves: ReadonlyArray<NewLeaf>) =>
  transaction(
    during("put"),
    Effect.gen(function* () {
      yield* sql.unsafe(SHARE)
      const [closed] = yield* sql.unsafe<StoredRoot>(LAST)
      const open = closed === undefined ? 0 : rootOf(closed).statement.hour + HOUR_MS
      // In one order everywhere, so that two who put the same leaves do not wait for each other.
      const ordered = leaves.toSorted((a, b) => (a.jobId < b.jobId ? -1 : 1))
      yield* sql.unsafe(INSERT, [
        texts(ordered.map(({ jobId }) => jobId)),
        wholes(ordered.map(({ endedAt }) => Math.max(hourOf(endedAt), open))),
        texts(ordered.map(({ hash }) => hash)),
        texts(ordered.map(({ blind }) => blind))
      ])
      const stored = yield* sql.unsafe<StoredLeaf>(FOUND, [texts(leaves.map(({ jobId }) => jobId))])
      const known = new Map(stored.map((row) => [row.job_id, leafOf(row)]))
      return leaves.flatMap(({ jobId }) => known.get(jobId) ?? [])
    })
  )

const BLOCKS = `INSERT INTO receipt_block (hour, block, first_job_id, hash)
  SELECT $1, * FROM unnest($2::int[], $3::text[], $4::text[])`

const close = ({ sql, transaction }: Client, root: SignedRoot, blocks: ReadonlyArray<Block>) =>
  transaction(
    during("close"),
    Effect.gen(function* () {
      yield* sql.unsafe(LOCK)
      const { number, hour, size } = root.statement
      const [closed] = yield* sql.unsafe<StoredRoot>(LAST)
      const before = closed === undefined ? { number: 0, hour: -1 } : rootOf(closed).statement
      if (number !== before.number + 1 || hour <= before.hour) return false
      const [there] = yield* sql.unsafe<{ there: bigint }>(
        "SELECT count(*) AS there FROM receipt_leaf WHERE hour = $1",
        [whole(hour)]
      )
      if (Number(there?.there) !== size) return false
      yield* sql.unsafe("INSERT INTO receipt_root (number, hour, body) VALUES ($1, $2, $3)", [
        whole(number),
        whole(hour),
        text(JSON.stringify(root))
      ])
      yield* sql.unsafe(BLOCKS, [
        whole(hour),
        integers(blocks.map((_, block) => block)),
        texts(blocks.map(({ firstJobId }) => firstJobId)),
        texts(blocks.map(({ hash }) => hash))
      ])
      return true
    })
  )

const OWN_BLOCK = `SELECT block, first_job_id FROM receipt_block WHERE hour = $1 AND first_job_id <= $2 ORDER BY block DESC LIMIT 1`
const BLOCK_OF = "SELECT * FROM receipt_leaf WHERE hour = $1 AND job_id >= $2 ORDER BY job_id LIMIT $3"

const find = Effect.fnUntraced(function* ({ query }: Client, jobId: JobId) {
  const ask = during("find")
  const [stored] = yield* query<StoredLeaf>(ask, FOUND, [texts([jobId])])
  if (stored === undefined) return null
  const leaf = leafOf(stored)
  const hour = whole(leaf.hour)
  const [root] = yield* query<StoredRoot>(ask, "SELECT body FROM receipt_root WHERE hour = $1", [hour])
  if (root === undefined) return { leaf, closed: null }
  const [own] = yield* query<{ block: number; first_job_id: JobId }>(ask, OWN_BLOCK, [hour, text(jobId)])
  const first = text(own?.first_job_id ?? jobId)
  const leaves = yield* query<StoredLeaf>(ask, BLOCK_OF, [hour, first, whole(BLOCK_LEAVES)])
  const blocks = yield* query<{ hash: string }>(ask, "SELECT hash FROM receipt_block WHERE hour = $1 ORDER BY block", [
    hour
  ])
  const closed = {
    root: rootOf(root),
    block: own?.block ?? 0,
    leaves: leaves.map(leafOf),
    blocks: blocks.map(({ hash }) => hash)
  }
  return { leaf, closed }
})

export const layer: Layer.Layer<Receipts, never, PgClient> = Layer.effect(
  Receipts,
  Effect.map(PgClient, (client) =>
    make({
      due: (after, before, limit) =>
        Effect.map(
          client.query<{ finished_at: bigint; id: JobId }>(during("due"), DUE, [
            whole(after.endedAt),
            text(after.jobId),
            whole(before),
            limited(limit)
          ]),
          (rows) => rows.map(({ finished_at, id }) => ({ endedAt: Number(finished_at), jobId: id }))
        ),
      put: (leaves) => put(client, leaves),
      leaves: (hour, after, limit) =>
        Effect.map(
          client.query<StoredLeaf>(during("leaves"), LEAVES, [whole(hour), text(after ?? ""), limited(limit)]),
          (rows) => rows.map(leafOf)
        ),
      close: (root, blocks) => close(client, root, blocks),
      last: Effect.map(client.query<StoredRoot>(during("last"), LAST), ([root]) =>
        root === undefined ? null : rootOf(root)
      ),
      roots: (after, limit) =>
        Effect.map(
          client.query<StoredRoot>(
            during("roots"),
            "SELECT body FROM receipt_root WHERE number > $1 ORDER BY number LIMIT $2",
            [whole(after), limited(limit)]
          ),
          (rows) => rows.map(rootOf)
        ),
      find: (jobId) => find(client, jobId)
    })
  )
)
