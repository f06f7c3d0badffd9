/**
 * Many small writes as one transaction: what arrives within one turn of the event loop, and under load within a millisecond or two, shares
 * one COMMIT and one sync of the log. Each item runs in
 * its own savepoint and learns its own outcome, but never before the COMMIT of the whole batch: until then nothing has happened.
 * SQLite answers synchronously, so no read and no other batch ever sees a batch half done.
 */
import type { DatabaseSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { Outage } from "../Outage.ts"
import { type During, exitOf, outageOf } from "./SqliteErrors.ts"
import type { Sql } from "./Statements.ts"
import type { WalSync } from "./WalSync.ts"

/** Items in one transaction: bounds how long the event loop stands still. */
export const BATCH_MAX = 256
/** Items that may wait. Beyond it the store does not keep up, which callers see as an Outage. */
export const PENDING_MAX = 32_768

/** A batch of more items than one job writes at a time says that many jobs are under way. */
const CROWD_MIN = 4
/** What an item waits at most for company. */
const REST_MAX_MS = 2

export interface WriteOptions {
  /** False: survives the death of the process, not that of the machine, and is told without waiting for the disk. */
  readonly durable?: boolean
}

export type Body<A, E> = (sql: Sql) => Result.Result<A, E>

interface Item {
  readonly during: During
  readonly durable: boolean
  readonly run: Body<unknown, unknown>
  readonly resume: (exit: Exit.Exit<unknown, unknown>) => void
}

type Outcome = Exit.Exit<unknown, unknown>

export interface GroupCommit {
  readonly write: <A, E = never>(
    during: During,
    body: Body<A, E>,
    options?: WriteOptions
  ) => Effect.Effect<A, E | Outage>
  /** Commits what waits and takes nothing more. */
  readonly close: () => void
}

export const make = (db: DatabaseSync, sql: Sql, wal: WalSync, batchMax: number = BATCH_MAX): GroupCommit => {
  const pending = new Set<Item>()
  const commit = makeCommit(db, sql)
  const turns = makeTurns(() => flush())
  let restUntil = 0
  let closed = false
  /** What is on the disk can no longer be told apart from what is not: waiting will not mend it, so every further write is a defect. */
  let broken: Error | undefined

  const flush = () => {
    const from = performance.now()
    const batch = firstOf(pending, batchMax)
    // Empty when all were interrupted, or `close` came first.
    if (batch.length > 0) tell(batch, commit(batch))
    const to = performance.now()
    // Where many come at once, more are on their way: as long as the batch took, at most, the next one fills up.
    restUntil = batch.length > CROWD_MIN ? to + Math.min(to - from, REST_MAX_MS) : 0
    if (pending.size > 0) schedule()
  }

  const tell = (batch: ReadonlyArray<Item>, outcomes: ReadonlyArray<Outcome>) => {
    const outcomeOf = new Map(batch.map((item, index) => [item, outcomes[index]]))
    const told = (item: Item) => item.resume(outcomeOf.get(item) ?? lost(item))
    const durable = batch.filter((item) => item.durable)
    // The disk first: it works while the others are told.
    if (durable.length > 0) {
      wal.request((error) => {
        broken ??= error ?? undefined
        for (const item of durable) {
          if (error === null) told(item)
          else item.resume(Exit.fail(outageOf(item.during, error)))
        }
      })
    }
    for (const item of batch) if (!item.durable) told(item)
  }

  const schedule = () => turns.take(pending.size >= batchMax ? 0 : restUntil - performance.now())

  const refusal = (): Error | undefined => {
    if (closed) return new Error("the database is closed")
    return pending.size >= PENDING_MAX ? new Error("too many writes wait") : undefined
  }

  const write: GroupCommit["write"] = (during, body, options) =>
    Effect.callback((resume) => {
      if (broken !== undefined) return resume(Effect.die(new Error(`the log could not be synced: ${broken.message}`)))
      const refused = refusal()
      if (refused !== undefined) return resume(Effect.fail(outageOf(during, refused)))
      // The item's own types are those of its body: `run` made the outcome that `resume` takes.
      const item: Item = { during, durable: options?.durable ?? true, run: body, resume: resume as Item["resume"] }
      pending.add(item)
      schedule()
      // Interrupted before its batch began, the item never happened; afterwards it is not here to be taken back.
      return Effect.sync(() => pending.delete(item))
    })

  const close = () => {
    closed = true
    while (pending.size > 0) flush()
    turns.cancel()
    wal.close()
  }

  return { write, close }
}

/** One flush at a time is on its way: at the end of this turn of the event loop, or after a rest. */
const makeTurns = (flush: () => void) => {
  let cancel: (() => void) | undefined
  const run = () => {
    cancel = undefined
    flush()
  }
  const take = (restMs: number) => {
    if (cancel !== undefined) return
    if (restMs > 0) {
      // oxlint-disable-next-line no-restricted-globals -- an edge: no fiber waits here
      const timer = setTimeout(run, Math.ceil(restMs))
      cancel = () => clearTimeout(timer)
    } else {
      const immediate = setImmediate(run)
      cancel = () => clearImmediate(immediate)
    }
  }
  return { take, cancel: () => cancel?.() }
}

const firstOf = (pending: Set<Item>, max: number): ReadonlyArray<Item> => {
  const batch: Array<Item> = []
  for (const item of pending) {
    if (batch.length === max) break
    pending.delete(item)
    batch.push(item)
  }
  return batch
}

const lost = (item: Item): Outcome => Exit.fail(outageOf(item.during, new Error("the transaction was rolled back")))

const makeCommit = (db: DatabaseSync, sql: Sql) => {
  const one = (item: Item): Outcome => {
    try {
      sql("SAVEPOINT item").run()
      const result = item.run(sql)
      if (Result.isFailure(result)) undo(sql)
      sql("RELEASE item").run()
      return Result.isSuccess(result) ? Exit.succeed(result.success) : Exit.fail(result.failure)
    } catch (cause) {
      // A full disk may have ended the whole transaction already; then there is no savepoint to go back to.
      if (db.isTransaction) {
        undo(sql)
        sql("RELEASE item").run()
      }
      return exitOf(item.during, cause)
    }
  }

  return (batch: ReadonlyArray<Item>): ReadonlyArray<Outcome> => {
    const outcomes: Array<Outcome> = []
    try {
      sql("BEGIN IMMEDIATE").run()
      for (const item of batch) {
        outcomes.push(one(item))
        if (!db.isTransaction) throw new Error("the transaction was rolled back by the database")
      }
      sql("COMMIT").run()
      return outcomes
    } catch (cause) {
      if (db.isTransaction) db.exec("ROLLBACK")
      return batch.map((item) => Exit.fail(outageOf(item.during, cause)))
    }
  }
}

const undo = (sql: Sql) => sql("ROLLBACK TO item").run()
