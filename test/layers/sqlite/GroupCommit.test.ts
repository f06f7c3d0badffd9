/** Who learns what, and when, when many writes share one transaction. A second connection sees what is really committed. */
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Result } from "effect"
import { describe } from "vitest"
import { Outage } from "../../../src/layers/Outage.ts"
import * as GroupCommit from "../../../src/layers/sqlite/GroupCommit.ts"
import * as Client from "../../../src/layers/sqlite/SqliteClient.ts"
import * as Statements from "../../../src/layers/sqlite/Statements.ts"
import type { Synced } from "../../../src/layers/sqlite/WalSync.ts"
import { dataFolder } from "./StateSamples.ts"

const { SqliteClient } = Client
const during = { of: "Test", method: "put" }

const makeTable = Effect.flatMap(SqliteClient, ({ write }) =>
  write(during, (sql) => {
    sql("CREATE TABLE thing (id INTEGER PRIMARY KEY, body BLOB) STRICT").run()
    sql("CREATE TABLE part (thing INTEGER REFERENCES thing (id)) STRICT").run()
    return Result.void
  })
)

const put = (sql: Client.Sql, id: number) => sql("INSERT INTO thing (id) VALUES (?)").run(id)
const ids = (sql: Client.Sql) =>
  sql("SELECT id FROM thing ORDER BY id")
    .all()
    .map((row) => row["id"])

const stored = Effect.flatMap(SqliteClient, ({ read }) => read(during, ids))

const fresh = Layer.unwrap(
  Effect.map(dataFolder, (folder) => Layer.fresh(Client.layer({ path: join(folder, "data.db") })))
)

/** Effects that all arrive in one turn of the event loop. */
const together = <A, E>(effects: ReadonlyArray<Effect.Effect<A, E>>) =>
  Effect.forEach(effects, (effect) => Effect.exit(effect), { concurrency: "unbounded" })

/** A group commit over a database in memory, whose syncs end when the test says so. */
const heldSyncs = () => {
  const db = new DatabaseSync(":memory:")
  db.exec("CREATE TABLE thing (id INTEGER PRIMARY KEY)")
  const syncs: Array<Synced> = []
  const wal = { request: (done: Synced) => void syncs.push(done), close: () => {} }
  return { group: GroupCommit.make(db, Statements.make(db), wal), syncs }
}

const write = (group: GroupCommit.GroupCommit, durable: boolean) =>
  Effect.forkChild(
    group.write(during, (sql) => Result.succeed(Number(sql("INSERT INTO thing DEFAULT VALUES").run().changes)), {
      durable
    }),
    { startImmediately: true }
  )

describe("a group commit", () => {
  it.effect("rolls back only the item that gives a failure, when others share its batch", () =>
    Effect.gen(function* () {
      const { write } = yield* SqliteClient
      yield* makeTable
      const exits = yield* together([
        write(during, (sql) => Result.succeed(put(sql, 1).changes)),
        write(during, (sql) => (put(sql, 2), Result.fail("refused" as const))),
        write(during, (sql) => Result.succeed(put(sql, 3).changes))
      ])
      assert.deepStrictEqual<ReadonlyArray<unknown>>(exits, [Exit.succeed(1), Exit.fail("refused"), Exit.succeed(1)])
      assert.deepStrictEqual(yield* stored, [1, 3])
    }).pipe(Effect.provide(fresh))
  )

  it.effect("makes a throw a defect of its own item, when others share its batch", () =>
    Effect.gen(function* () {
      const { write } = yield* SqliteClient
      yield* makeTable
      const bug = new Error("bug")
      const exits = yield* together([
        write(during, (sql) => Result.succeed(put(sql, 1).changes)),
        write(during, (sql) => {
          put(sql, 2)
          throw bug
        }),
        write(during, (sql) => Result.succeed(put(sql, 1).changes)),
        write(during, (sql) => Result.succeed(put(sql, 4).changes))
      ])
      assert.deepStrictEqual(exits[0], Exit.succeed(1))
      assert.deepStrictEqual(exits[1], Exit.die(bug))
      // A violated constraint is a bug too: waiting for it to pass would be waiting for ever.
      assert.isTrue(Exit.hasDies(exits[2]!))
      assert.deepStrictEqual(exits[3], Exit.succeed(1))
      assert.deepStrictEqual(yield* stored, [1, 4])
    }).pipe(Effect.provide(fresh))
  )

  it.effect("tells nobody before the commit, when an item of the batch is still to run", () =>
    Effect.gen(function* () {
      const folder = yield* dataFolder
      const path = join(folder, "data.db")
      yield* Effect.gen(function* () {
        const { write } = yield* SqliteClient
        yield* makeTable
        const other = new DatabaseSync(path, { readOnly: true })
        const seenElsewhere = () => other.prepare("SELECT id FROM thing").all().length
        let told = false
        const first = Effect.tap(
          write(during, (sql) => Result.succeed(put(sql, 1).changes)),
          () => Effect.sync(() => (told = true))
        )
        const second = write(during, (sql) => Result.succeed({ told, here: ids(sql).length, there: seenElsewhere() }))
        const [, , exit] = yield* together<unknown, unknown>([first, Effect.void, second])
        assert.deepStrictEqual(exit, Exit.succeed({ told: false, here: 1, there: 0 }))
        assert.isTrue(told)
        assert.strictEqual(seenElsewhere(), 1)
        other.close()
      }).pipe(Effect.provide(Client.layer({ path })))
    })
  )

  it.effect("fails every item with an Outage and keeps nothing, when the commit fails", () =>
    Effect.gen(function* () {
      const { write } = yield* SqliteClient
      yield* makeTable
      const exits = yield* together([
        write(during, (sql) => Result.succeed(put(sql, 1).changes)),
        write(during, (sql) => {
          // Deferred, the dangling reference passes here and is found by COMMIT.
          sql("PRAGMA defer_foreign_keys = ON").run()
          return Result.succeed(sql("INSERT INTO part (thing) VALUES (99)").run().changes)
        }),
        write(during, () => Result.fail("refused"))
      ])
      for (const exit of exits) assert.strictEqual(outage(exit)?._tag, "Outage")
      assert.deepStrictEqual(yield* stored, [])
      yield* write(during, (sql) => Result.succeed(put(sql, 5)))
      assert.deepStrictEqual(yield* stored, [5])
    }).pipe(Effect.provide(fresh))
  )

  it.effect("fails every item with an Outage, when the database ends the transaction under one of them", () =>
    Effect.gen(function* () {
      const { write } = yield* SqliteClient
      yield* makeTable
      const exits = yield* together([
        write(during, (sql) => Result.succeed(put(sql, 1).changes)),
        write(during, (sql) => Result.succeed(sql("ROLLBACK").run().changes)),
        write(during, (sql) => Result.succeed(put(sql, 3).changes))
      ])
      for (const exit of exits) assert.strictEqual(outage(exit)?._tag, "Outage")
      assert.deepStrictEqual(yield* stored, [])
    }).pipe(Effect.provide(fresh))
  )

  it.effect("fails with an Outage what does not fit and keeps what does, when the disk is full", () =>
    Effect.gen(function* () {
      const { write, read } = yield* SqliteClient
      yield* makeTable
      yield* read(during, (sql) => {
        const pages = Number(sql("PRAGMA page_count").get()?.["page_count"])
        sql(`PRAGMA max_page_count = ${pages + 4}`).get()
      })
      const exits = yield* together([
        write(during, (sql) => Result.succeed(put(sql, 1).changes)),
        write(during, (sql) =>
          Result.succeed(sql("INSERT INTO thing (id, body) VALUES (2, zeroblob(1000000))").run().changes)
        ),
        write(during, (sql) => Result.succeed(put(sql, 3).changes))
      ])
      assert.strictEqual(outage(exits[1]!)?._tag, "Outage")
      const kept = [1, 2, 3].filter((_, index) => Exit.isSuccess(exits[index]!))
      assert.deepStrictEqual(yield* stored, kept)
      yield* read(during, (sql) => sql("PRAGMA max_page_count = 1000000").get())
      yield* write(during, (sql) => Result.succeed(put(sql, 5)))
      assert.deepStrictEqual(yield* stored, [...kept, 5])
    }).pipe(Effect.provide(fresh))
  )

  it.effect("leaves out an item, when its caller is interrupted before the batch begins", () =>
    Effect.gen(function* () {
      const { write } = yield* SqliteClient
      yield* makeTable
      const early = yield* Effect.forkChild(
        write(during, (sql) => Result.succeed(put(sql, 1))),
        { startImmediately: true }
      )
      const stays = yield* Effect.forkChild(
        write(during, (sql) => Result.succeed(put(sql, 2))),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(early)
      yield* Fiber.join(stays)
      assert.deepStrictEqual(yield* stored, [2])
    }).pipe(Effect.provide(fresh))
  )

  it.effect("goes on, when every caller of a batch is interrupted", () =>
    Effect.gen(function* () {
      const { write } = yield* SqliteClient
      yield* makeTable
      const early = yield* Effect.forkChild(
        write(during, (sql) => Result.succeed(put(sql, 1))),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(early)
      yield* write(during, (sql) => Result.succeed(put(sql, 2)))
      assert.deepStrictEqual(yield* stored, [2])
    }).pipe(Effect.provide(fresh))
  )

  it.effect("tells a durable write only when the log is synced, and a cheap one at once", () =>
    Effect.gen(function* () {
      const { group, syncs } = heldSyncs()
      const cheap = yield* write(group, false)
      const durable = yield* write(group, true)
      const later = yield* write(group, true)
      assert.strictEqual(Exit.isSuccess(yield* Fiber.await(cheap)), true)
      assert.deepStrictEqual([durable.pollUnsafe(), later.pollUnsafe()], [undefined, undefined])
      syncs.forEach((done) => done(null))
      assert.deepStrictEqual(yield* Fiber.awaitAll([durable, later]), [Exit.succeed(1), Exit.succeed(1)])
      group.close()
    })
  )

  it.effect("dies at each further write, when the log could not be synced", () =>
    Effect.gen(function* () {
      const { group, syncs } = heldSyncs()
      const cheap = yield* write(group, false)
      const durable = yield* write(group, true)
      yield* Fiber.await(cheap)
      syncs.forEach((done) => done(new Error("the disk is gone")))
      const after = yield* write(group, false)
      const [unknown, refused] = yield* Fiber.awaitAll([durable, after])
      assert.strictEqual(unknown && Exit.isFailure(unknown) && Cause.squash(unknown.cause) instanceof Outage, true)
      assert.strictEqual(refused && Exit.hasDies(refused), true)
      group.close()
    })
  )

  it.effect("splits what arrives into bounded batches, when more arrives at once", () =>
    Effect.gen(function* () {
      const path = join(yield* dataFolder, "data.db")
      yield* Effect.gen(function* () {
        const { write } = yield* SqliteClient
        yield* makeTable
        const other = new DatabaseSync(path, { readOnly: true })
        const committed = new Set<number>()
        const one = (id: number) =>
          write(during, (sql) => {
            put(sql, id)
            committed.add(other.prepare("SELECT id FROM thing").all().length)
            return Result.void
          })
        const exits = yield* together(Array.from({ length: 2 * GroupCommit.BATCH_MAX + 1 }, (_, id) => one(id)))
        assert.isTrue(exits.every(Exit.isSuccess))
        assert.deepStrictEqual([...committed], [0, GroupCommit.BATCH_MAX, 2 * GroupCommit.BATCH_MAX])
        other.close()
      }).pipe(Effect.provide(Client.layer({ path })))
    })
  )

  it.effect("commits what waits, when the store closes, and refuses what comes later", () =>
    Effect.gen(function* () {
      const folder = yield* dataFolder
      const path = join(folder, "data.db")
      const { fiber, write, read } = yield* Effect.gen(function* () {
        const { write, read } = yield* SqliteClient
        yield* makeTable
        const put1 = write(during, (sql) => Result.succeed(put(sql, 1).changes))
        return { fiber: yield* Effect.forkDetach(put1, { startImmediately: true }), write, read }
      }).pipe(Effect.provide(Client.layer({ path })))
      assert.strictEqual(yield* Fiber.join(fiber), 1)
      assert.strictEqual((yield* Effect.flip(write(during, () => Result.void)))._tag, "Outage")
      assert.strictEqual((yield* Effect.flip(read(during, ids)))._tag, "Outage")
      assert.deepStrictEqual(yield* stored.pipe(Effect.provide(Client.layer({ path }))), [1])
    })
  )
})

const outage = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit)
    ? (exit.cause.reasons.find(Cause.isFailReason)?.error as { readonly _tag: string } | undefined)
    : undefined
