/**
 * Makes the receipts of jobs that ended, and closes each UTC hour with a Merkle tree over them, whose root is signed and names the root before. An hour
 * is closed once it is well over, so that records that were late are whole by then; what comes later still goes into the next hour.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Metrics from "../../layers/Metrics.ts"
import type { NetworkKey } from "../../layers/NetworkKey.ts"
import { type Block, type Ended, HOUR_MS, hourOf, type Leaf, type Receipts } from "../../layers/Receipts.ts"
import { JobId } from "../../schemas/Ids.ts"
import type { Environment } from "../../schemas/Job.ts"
import { BLOCK_LEAVES, leafHash, rootOver } from "../../schemas/MerkleTree.ts"
import type { RootStatement } from "../../schemas/Receipt.ts"
import { FIRST_ROOT, rootBytes, rootHash } from "../../schemas/ReceiptHashes.ts"
import type { ReceiptDesk } from "../ReceiptDesk.ts"
import type { Batch, Options } from "./Sweeper.ts"

export interface MerkleHouse {
  readonly desk: ReceiptDesk["Service"]
  readonly receipts: Receipts["Service"]
  readonly key: NetworkKey["Service"]
  readonly environment: Environment
}

/** A record is closed within moments of its job; who waits for it less long makes a receipt a minute later. */
const SETTLE_MS = 60_000
/** Records whose writer died are repaired after ten minutes. */
const CLOSE_AFTER_MS = 15 * 60_000
/** A record that is still open by then is not waited for any longer. */
const PATIENCE_MS = 2 * HOUR_MS
const PAGE = 256

/** How far receipts are made, and the first hour that ever gets a root. */
const Mark = Schema.Struct({ since: Schema.Int, endedAt: Schema.Int, jobId: Schema.String })
type Mark = typeof Mark.Type
const isMark = Schema.is(Mark)

export const make = (house: MerkleHouse): Options => ({
  name: "merkle",
  everyMs: 60_000,
  // A batch is a page or an hour, and any that took something is followed by the next.
  batchMax: 1,
  sweepBatch: (watermark, _max, dryRun) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const mark = isMark(watermark) ? watermark : { since: hourOf(now), endedAt: hourOf(now) - 1, jobId: "" }
      const page = yield* house.receipts.due(placeOf(mark), now - SETTLE_MS, PAGE)
      if (dryRun) return { taken: page.length, watermark: mark }
      if (page.length > 0) return yield* makePage(house, mark, page)
      return { taken: yield* closeNext(house, mark, now), watermark: mark }
    })
})

const placeOf = ({ endedAt, jobId }: Mark): Ended => ({ endedAt, jobId: jobId as JobId })

const makePage = ({ desk }: MerkleHouse, mark: Mark, page: ReadonlyArray<Ended>) =>
  Effect.map(desk.makeAll(page, false), (): Batch => {
    const last = page.at(-1)
    return { taken: page.length, watermark: { ...mark, ...last } }
  })

/** How many hours were closed: one, or none. */
const closeNext = Effect.fnUntraced(function* (house: MerkleHouse, mark: Mark, now: number) {
  const last = yield* house.receipts.last
  const hour = last === null ? mark.since : last.statement.hour + HOUR_MS
  const overFor = now - hour - HOUR_MS
  if (overFor < CLOSE_AFTER_MS) return 0
  const isLate = overFor >= PATIENCE_MS
  if ((yield* makeRest(house, hour, isLate)) > 0) return 0
  const { blocks, size } = yield* blocksOf(house, hour)
  const statement: RootStatement = {
    domain: "resultity/root/v1",
    environment: house.environment,
    number: (last?.statement.number ?? 0) + 1,
    hour,
    size,
    root: rootOver(blocks.map(({ hash }) => hash)),
    previous: last === null ? FIRST_ROOT : rootHash(last.statement)
  }
  const network = house.key.sign((keyId) => rootBytes(statement, keyId))
  if (!(yield* house.receipts.close({ statement, network }, blocks))) return 0
  yield* Metric.update(Metrics.rootsClosed, 1)
  yield* Effect.logInfo("hour closed", { hour, number: statement.number, size })
  return 1
})

/** What was passed over because its record was open, or was settled later than it says: within this hour and the one before. */
const makeRest = Effect.fnUntraced(function* ({ desk, receipts }: MerkleHouse, hour: number, anyway: boolean) {
  let after: Ended = { endedAt: hour - HOUR_MS - 1, jobId: "" as JobId }
  let waiting = 0
  while (true) {
    const page = yield* receipts.due(after, hour + HOUR_MS, PAGE)
    waiting += yield* desk.makeAll(page, anyway)
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return waiting
    after = last
  }
})

const blocksOf = Effect.fnUntraced(function* ({ receipts }: MerkleHouse, hour: number) {
  const blocks: Array<Block> = []
  let size = 0
  let after: JobId | null = null
  while (true) {
    const page: ReadonlyArray<Leaf> = yield* receipts.leaves(hour, after, BLOCK_LEAVES)
    const [first] = page
    if (first === undefined) return { blocks, size }
    blocks.push({ firstJobId: first.jobId, hash: rootOver(page.map(({ hash }) => leafHash(hash))) })
    size += page.length
    after = page.at(-1)?.jobId ?? null
    if (page.length < BLOCK_LEAVES) return { blocks, size }
  }
})
