/**
 * What a data folder holds after its daemon was killed, or its disk was full, in the middle of writes: real processes, a real SIGKILL, and every
 * acknowledged operation looked up afterwards. Also that the folder has one owner at a time.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import type { Readable } from "node:stream"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { JobStore, JobSurvey } from "../../../src/layers/JobStore.ts"
import { SqliteClient } from "../../../src/layers/sqlite/SqliteClient.ts"
import { DaemonId, type JobId } from "../../../src/schemas/Ids.ts"
import { claimOf, dataFolder, NAMESPACE, store } from "./StateSamples.ts"

type Child = ChildProcessByStdio<null, Readable, null>

/** `blocks`: no file of the child may grow beyond so many KiB, which is how a disk that is full looks from inside. */
const spawnDaemon = (path: string, what: "hold" | "work", blocks: number | "unlimited" = "unlimited") =>
  Effect.acquireRelease(
    Effect.sync((): Child => {
      const program = join(import.meta.dirname, "DaemonChild.ts")
      const limited = `ulimit -f ${blocks} && exec "$0" "$@"`
      return spawn("bash", ["-c", limited, process.execPath, program, path, what], {
        stdio: ["ignore", "pipe", "inherit"]
      })
    }),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** All lines of the child, which is killed in the middle of its work when it has said `count` of them. */
const killAfter = (child: Child, count: number) =>
  Effect.promise(async () => {
    const lines: Array<string> = []
    const closed = once(child, "close")
    for await (const line of createInterface(child.stdout)) {
      lines.push(line)
      if (lines.length === count) child.kill("SIGKILL")
    }
    await closed
    return lines
  })

const during = { of: "Test", method: "check" }
const ORDER = ["queued", "active", "completed"]

describe("a data folder", () => {
  it.effect("refuses a second daemon at once and serves the next, when the first was killed", () =>
    Effect.gen(function* () {
      const path = join(yield* dataFolder, "data.db")
      const child = yield* spawnDaemon(path, "hold")
      const open = Effect.provide(SqliteClient, store(path))
      yield* Effect.promise(() => once(child.stdout, "data"))
      const refused = yield* Effect.flip(open)
      assert.strictEqual(refused._tag, "DataFolderInUse")
      assert.include(refused.message, "in use by another daemon")
      const closed = once(child, "close")
      child.kill("SIGKILL")
      yield* Effect.promise(() => closed)
      yield* open
    })
  )

  it.effect("refuses a second store within one process, and the refusal does not free it", () =>
    Effect.gen(function* () {
      const folder = yield* dataFolder
      const open = Effect.provide(SqliteClient, store(join(folder, "data.db")))
      yield* Effect.gen(function* () {
        yield* SqliteClient
        const other = Effect.provide(SqliteClient, store(join(folder, "other.db")))
        assert.strictEqual((yield* Effect.flip(other))._tag, "DataFolderInUse")
        assert.strictEqual((yield* Effect.flip(open))._tag, "DataFolderInUse")
        const child = yield* spawnDaemon(join(folder, "data.db"), "hold")
        const [said] = yield* Effect.promise(() => once(child.stdout, "data"))
        assert.strictEqual(String(said), "DataFolderInUse\n")
      }).pipe(Effect.provide(store(join(folder, "data.db"))))
      yield* open
    })
  )

  it.effect(
    "holds everything that was acknowledged and nothing by halves, when its daemon was killed in the middle of writes",
    () =>
      Effect.gen(function* () {
        const path = join(yield* dataFolder, "data.db")
        const child = yield* spawnDaemon(path, "work")
        const lines = yield* killAfter(child, 1_500)
        assert.isAtLeast(lines.length, 1_500)
        yield* Effect.provide(
          Effect.gen(function* () {
            yield* checkFile
            yield* checkAcknowledged(lines)
            yield* checkOrphans
          }),
          store(path)
        )
      })
  )

  it.effect("holds everything that was acknowledged and nothing by halves, when a commit found the disk full", () =>
    Effect.gen(function* () {
      const path = join(yield* dataFolder, "data.db")
      const child = yield* spawnDaemon(path, "work", 1_500)
      const lines = yield* killAfter(child, Infinity)
      assert.strictEqual(lines.at(-1), "Outage")
      assert.isAtLeast(lines.length, 100)
      yield* Effect.provide(Effect.andThen(checkFile, checkAcknowledged(lines.slice(0, -1))), store(path))
    })
  )
})

const checkFile = Effect.gen(function* () {
  const { read } = yield* SqliteClient
  const integrity = yield* read(during, (sql) =>
    sql("PRAGMA integrity_check")
      .all()
      .map((row) => row["integrity_check"])
  )
  assert.deepStrictEqual(integrity, ["ok"])
  assert.deepStrictEqual(yield* read(during, (sql) => sql("PRAGMA foreign_key_check").all()), [])
  assert.deepStrictEqual(yield* (yield* CreditLedger).audit, [])
  const unfinished = yield* read(during, (sql) =>
    Number(sql("SELECT count(*) AS open FROM job WHERE finished_at IS NULL").get()?.["open"])
  )
  assert.strictEqual(yield* (yield* JobSurvey).open(NAMESPACE), unfinished)
})

const checkAcknowledged = Effect.fnUntraced(function* (lines: ReadonlyArray<string>) {
  const { get, events } = yield* JobStore
  const reached = new Map(lines.map((line) => line.split(" ") as [string, JobId]).map(([state, id]) => [id, state]))
  for (const [id, state] of reached) {
    const row = yield* get(id)
    // The last operations may be durable without having been acknowledged: further is fine, less is a loss.
    assert.isAtLeast(ORDER.indexOf(row!.state), ORDER.indexOf(state), `${id} was acknowledged as ${state}`)
    const history = yield* events(id)
    assert.strictEqual(history.at(-1)?.to, row!.state)
  }
})

const checkOrphans = Effect.gen(function* () {
  const successor = DaemonId.make("daemon_two")
  const { orphans } = yield* JobSurvey
  assert.deepStrictEqual(yield* orphans(10), [])
  yield* (yield* Daemons).join(successor, 0)
  const [orphan] = yield* orphans(1)
  const claimed = yield* (yield* JobStore).claim(
    claimOf(orphan!.job, { daemonId: successor, nodeId: null, epochSeen: orphan!.epoch, crashed: true })
  )
  assert.strictEqual(claimed._tag, "Claimed")
  assert.strictEqual(claimed.row?.crashes, 1)
})
