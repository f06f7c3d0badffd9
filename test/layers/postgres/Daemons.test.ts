/** Who lives and who died, among daemons that each have a client of their own: what heartbeats alone could not show, or not so soon. */
import { assert } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { afterEach, describe, it } from "vitest"
import { Daemons } from "../../../src/layers/Daemons.ts"
import * as PgClient from "../../../src/layers/postgres/PgClient.ts"
import * as PgDaemons from "../../../src/layers/postgres/PgDaemons.ts"
import type { DaemonId } from "../../../src/schemas/Ids.ts"
import { aDaemonId, freshTime } from "../../support/factories.ts"
import { until } from "../../support/Until.ts"
import { openProxy } from "./PgProxy.ts"
import { freshSchema, holding, shell, withPostgres } from "./PgSchema.ts"

const HOUR = 3_600_000
/** A server of any age judges, so that no test waits for that. */
const ANY_AGE = { ...PgDaemons.PATIENCE, settledMs: 0 }
const never = 0

withPostgres("who lives, on PostgreSQL", () => {
  const options = freshSchema("daemons")
  const scopes: Array<Scope.Closeable> = []
  afterEach(async () => {
    // Nobody of one test is silent in the next.
    await shell(options.schema, "UPDATE daemon SET state = 'left' WHERE state = 'live'")
    for (const scope of scopes.splice(0)) await Effect.runPromise(Scope.close(scope, Exit.void))
  })

  /** One daemon's own client; closing its scope is its death. */
  const aDaemon = async (patience: PgDaemons.Patience = ANY_AGE, over: Partial<PgClient.PgOptions> = {}) => {
    const scope = Scope.makeUnsafe()
    scopes.push(scope)
    const id = aDaemonId()
    const layer = Layer.provide(
      Layer.fresh(PgDaemons.layerWith(patience)),
      PgClient.layer({ ...options, applicationName: id, ...over })
    )
    const context = await Effect.runPromise(Scope.provide(Layer.build(layer), scope))
    const daemons = Context.get(context, Daemons)
    await Effect.runPromise(daemons.join(id, freshTime()))
    return {
      id,
      beat: () => Effect.runPromise(daemons.beat(id, freshTime())),
      leave: (other: DaemonId = id) => Effect.runPromise(daemons.leave(other, freshTime())),
      bury: (before: number = never, judge?: DaemonId) => Effect.runPromise(daemons.bury(before, judge)),
      join: (other: DaemonId) => Effect.runPromise(daemons.join(other, freshTime())),
      die: () => Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }

  const keyOf = (id: DaemonId) => `hashtextextended('${id}', 0)`
  /** The backend that has the lock of this daemon. */
  const lockedBy = async (id: DaemonId): Promise<number | undefined> => {
    const rows = await shell<{ pid: number }>(
      "public",
      `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND ((classid::bigint << 32) | objid::bigint) = ${keyOf(id)}`
    )
    return rows[0]?.pid
  }
  const isUnlocked = (id: DaemonId) => until("the lock to be gone", async () => (await lockedBy(id)) === undefined)
  /** When the connection of its lock last asked something. */
  const looksOf = async (id: DaemonId) => {
    const asked = `SELECT query_start::text AS at FROM pg_stat_activity WHERE pid = ${await lockedBy(id)}`
    return (await shell<{ at: string }>("public", asked))[0]?.at
  }
  const kill = (pid: number | undefined) => shell("public", `SELECT pg_terminate_backend(${pid})`)
  const set = (id: DaemonId, values: string) => shell(options.schema, `UPDATE daemon SET ${values} WHERE id = '${id}'`)
  const aged = (id: DaemonId, seconds: number) => set(id, `heard_at = heard_at - interval '${seconds} seconds'`)

  describe("a daemon on PostgreSQL", () => {
    it("is buried within one call after its process is gone, however fresh its heartbeat, by exactly one of two", async () => {
      const [dead, one, two] = [await aDaemon(), await aDaemon(), await aDaemon()]
      assert.isTrue(await dead.beat())
      await dead.die()
      await isUnlocked(dead.id)
      const buried = await Promise.all([one.bury(), two.bury(), one.bury(), two.bury()])
      assert.deepStrictEqual(buried.flat(), [dead.id])
      assert.deepStrictEqual(await two.bury(), [])
    })

    it("has a false heartbeat once it was buried, and its lock is no defence", async () => {
      const [hung, other] = [await aDaemon(), await aDaemon()]
      await aged(hung.id, 11)
      assert.deepStrictEqual(await other.bury(Date.now() - 10_000), [hung.id])
      assert.isDefined(await lockedBy(hung.id))
      assert.isFalse(await hung.beat())
    })

    it("locks again when the connection of its lock is killed, and is not buried by who looks meanwhile", async () => {
      // More time between the looks than a loaded machine needs to connect.
      const [shaken, other] = [await aDaemon(), await aDaemon({ ...ANY_AGE, lookAgainMs: 1_000 })]
      const before = await lockedBy(shaken.id)
      const looks = [other.bury(), kill(before), other.bury(), other.bury()]
      const after = await until("the lock again", async () => {
        const pid = await lockedBy(shaken.id)
        return pid !== before && pid
      })
      await Promise.all(looks)
      assert.notStrictEqual(after, before)
      assert.deepStrictEqual(await other.bury(), [])
      assert.isTrue(await shaken.beat())
    })

    it("is not buried when a heartbeat comes between the two looks for its lock", async () => {
      const [cut, other] = [await aDaemon(), await aDaemon({ ...ANY_AGE, lookAgainMs: 1_000 })]
      await cut.die()
      await isUnlocked(cut.id)
      const looks = other.bury()
      const heard = `SELECT 1 FROM pg_stat_activity WHERE application_name = '${other.id}' AND query LIKE '%pg_locks%'`
      await until("the first look", async () => (await shell("public", heard)).length > 0)
      await set(cut.id, "heard_at = clock_timestamp()")
      assert.deepStrictEqual(await looks, [])
      assert.deepStrictEqual(await other.bury(), [cut.id])
    })

    it("does not bury itself while its own lock is on its way back", async () => {
      const alone = await aDaemon({ ...ANY_AGE, lookAgainMs: 0 })
      for (let times = 0; times < 5; times++) {
        await kill(await until("the lock", () => lockedBy(alone.id)))
        assert.deepStrictEqual(await alone.bury(), [])
      }
    })

    it("waits for a lock that the server still takes for that of a connection before", async () => {
      const id = aDaemonId()
      const daemon = await aDaemon()
      const before = await holding(options.schema, `SELECT pg_advisory_xact_lock(${keyOf(id)})`)
      const [held, looks] = [await lockedBy(id), await looksOf(daemon.id)]
      const joined = daemon.join(id)
      await until("a look in vain", async () => (await looksOf(daemon.id)) !== looks)
      await before.end()
      await joined
      assert.isDefined(await lockedBy(id))
      assert.notStrictEqual(await lockedBy(id), held)
    })

    it("frees its lock when it leaves, and is not buried then", async () => {
      const [leaving, other] = [await aDaemon(), await aDaemon()]
      await leaving.leave()
      await isUnlocked(leaving.id)
      assert.deepStrictEqual(await other.bury(), [])
    })

    it("waits no more for its lock when it leaves meanwhile", async () => {
      const daemon = await aDaemon()
      const other = aDaemonId()
      const before = await holding(options.schema, `SELECT pg_advisory_xact_lock(${keyOf(other)})`)
      const joined = daemon.join(other)
      await daemon.leave(other)
      await joined
      await before.end()
    })

    it("may join again at once after it left, and stays as it is", async () => {
      const daemon = await aDaemon()
      await daemon.leave()
      await daemon.join(daemon.id)
      assert.isFalse(await daemon.beat())
    })

    it("has its lock beside a pool of one connection, which stays free for everything else", async () => {
      const small = await aDaemon(ANY_AGE, { connectionsMax: 1 })
      assert.isDefined(await lockedBy(small.id))
      assert.isTrue(await small.beat())
    })

    it("ends within a bounded time when the server is frozen", async () => {
      const proxy = await openProxy()
      const frozen = await aDaemon(ANY_AGE, { url: proxy.url })
      proxy.freeze()
      await frozen.die()
      await proxy.close()
    })
  })

  describe("a daemon whose host's clock is wrong", () => {
    it("buries nobody who is heard of, however late it thinks it is", async () => {
      const [judge, other] = [await aDaemon(), await aDaemon()]
      await set(other.id, `beat_at = 0`)
      assert.deepStrictEqual(await judge.bury(Date.now() + HOUR), [])
      assert.deepStrictEqual(await judge.bury(Date.now() - 10_000), [])
      assert.isTrue(await other.beat())
    })

    it("does not bury itself, however old its own heartbeat seems to be", async () => {
      const [judge, other] = [await aDaemon(), await aDaemon()]
      await aged(judge.id, 60)
      assert.deepStrictEqual(await judge.bury(Date.now() - 10_000, judge.id), [])
      assert.deepStrictEqual(await other.bury(Date.now() - 10_000, other.id), [judge.id])
    })

    it("is buried when it hangs, however far ahead its heartbeats were", async () => {
      const [hung, judge] = [await aDaemon(), await aDaemon()]
      await set(hung.id, `beat_at = ${Date.now() + HOUR}`)
      await aged(hung.id, 9)
      assert.deepStrictEqual(await judge.bury(Date.now() - 10_000), [], "not silent for so long")
      await aged(hung.id, 2)
      assert.deepStrictEqual(await judge.bury(Date.now() - 10_000), [hung.id])
    })
  })

  describe("a server that has just started", () => {
    it("judges nobody, because nobody can have locked again yet", async () => {
      const [dead, hung, judge] = [
        await aDaemon(),
        await aDaemon(),
        await aDaemon({ ...ANY_AGE, settledMs: Number.MAX_SAFE_INTEGER })
      ]
      await dead.die()
      await isUnlocked(dead.id)
      await aged(hung.id, 60)
      assert.deepStrictEqual(await judge.bury(Date.now() - 10_000), [])
    })
  })
})
