/** What the doctor says of a real Redis, and of one that is old, full, evicts, is a replica and forbids: which a server that others use must not become. */
import { randomBytes } from "node:crypto"
import { Redacted } from "effect"
import { Redis } from "ioredis"
import { assert, describe, it, onTestFinished } from "vitest"
import { diagnose } from "../../../src/layers/redis/RedisDiagnosis.ts"
import { complaints, examine, findingOf } from "../../support/Findings.ts"
import { TcpProxy } from "../../support/TcpProxy.ts"
import { FakeRedis } from "./FakeRedis.ts"
import { REDIS_URL, withRedis } from "./RedisRig.ts"

const prefix = `test-${randomBytes(6).toString("hex")}`

withRedis("the diagnosis of Redis", () => {
  it("complains of nothing, and its only key goes by itself", async () => {
    const findings = await examine(diagnose({ url: Redacted.make(REDIS_URL), prefix }))
    assert.deepStrictEqual(complaints(findings), [])
    const redis = new Redis(REDIS_URL)
    onTestFinished(() => redis.disconnect())
    for (const key of await redis.keys(`{${prefix}}*`)) assert.isAbove(await redis.pttl(key), 0)
  })

  it("says that scripts, keys and channels are forbidden to a user, and what allows them", async () => {
    const redis = new Redis(REDIS_URL)
    const user = `test-${randomBytes(6).toString("hex")}`
    await redis.call("ACL", "SETUSER", user, "on", ">secret-horse", "+info", "+time", "+ping")
    onTestFinished(async () => {
      await redis.call("ACL", "DELUSER", user)
      redis.disconnect()
    })
    const at = new URL(REDIS_URL)
    at.username = user
    at.password = "secret-horse"
    const findings = await examine(diagnose({ url: Redacted.make(at.href), prefix }))
    for (const what of ["scripts", "channels"]) {
      const { level, said, todo } = findingOf(findings, what)
      assert.strictEqual(level, "bad")
      assert.match(said, /NOPERM/)
      assert.match(todo ?? "", /ACL SETUSER/)
    }
    assert.lengthOf(complaints(findings), 2)
  })

  it("is one bad finding when the password is wrong, or the server is frozen", async () => {
    const { hostname, port } = new URL(REDIS_URL)
    const proxy = await TcpProxy.start({ host: hostname, port: Number(port === "" ? 6379 : port) })
    onTestFinished(() => proxy.stop())
    await proxy.hang()
    const wrong = new URL(REDIS_URL)
    wrong.username = "nobody"
    wrong.password = "wrong-horse"
    for (const url of [wrong.href, `redis://127.0.0.1:${proxy.port}`]) {
      const findings = await examine(diagnose({ url: Redacted.make(url), prefix }))
      assert.strictEqual(findings[0]?.what, "reachable")
      assert.strictEqual(findings[0]?.level, "bad")
      assert.notInclude(JSON.stringify(findings), "wrong-horse")
    }
  })
})

describe("the diagnosis of a Redis that says", () => {
  const said = async (info: ReadonlyArray<string>, clockMs = 0) => {
    const fake = await FakeRedis.start({ info: info.join("\r\n"), clockMs })
    onTestFinished(() => fake.stop())
    return examine(diagnose({ url: Redacted.make(fake.url), prefix }))
  }

  it("that it is old, a replica, crowded and almost full, judges each of it", async () => {
    const findings = await said([
      "# All",
      "redis_version:6.2.14",
      "role:slave",
      "cluster_enabled:1",
      "maxmemory_policy:allkeys-lru",
      "used_memory:970",
      "maxmemory:1000",
      "connected_clients:95",
      "maxclients:100"
    ])
    const levels = Object.fromEntries(findings.map(({ what, level }) => [what, level]))
    assert.deepInclude(levels, {
      version: "bad",
      role: "bad",
      "cluster mode": "warning",
      eviction: "warning",
      memory: "bad",
      connections: "warning"
    })
  })

  it("another time, says how far it is off", async () => {
    const finding = findingOf(await said(["redis_version:8.0.0"], -60_000), "clock")
    assert.strictEqual(finding.level, "bad")
    assert.match(finding.said, /^(59\.9|60\.0|60\.1) s behind/)
  })
})
