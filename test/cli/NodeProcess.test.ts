/** `resultity node` as a process, against the daemon's end of the WebSocket. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assignment, type FakeDaemonOptions, start } from "../support/FakeDaemon.ts"
import { start as startRuntime } from "../support/FakeRuntime.ts"
import { bin, type Child } from "./Bin.ts"

const folder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "resultity-node-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true }))
)
const daemon = (options: FakeDaemonOptions = {}) =>
  Effect.acquireRelease(
    Effect.promise(() => start(options)),
    (server) => Effect.promise(() => server.close())
  )
const node = (argv: ReadonlyArray<string>, env?: Record<string, string>) =>
  Effect.acquireRelease(
    Effect.sync(() => bin(["node", ...argv], env)),
    (child) => Effect.promise(() => gone(child))
  )
const gone = (child: Child) => {
  child.process.kill("SIGKILL")
  return child.ended
}
const ended = (child: Child) => Effect.promise(() => child.ended)
const told = (child: Child, text: string) => Effect.promise(() => child.line(text))

describe("resultity node", () => {
  it.live("says that it is connected, as who it says it is, and drains when it is stopped", () =>
    Effect.gen(function* () {
      const server = yield* daemon()
      const key = join(yield* folder, "node.key")
      const argv = [
        "--simulate",
        "swift",
        "--daemon",
        server.url,
        "--key",
        key,
        "--name",
        "mine",
        "--region",
        "eu",
        "--slots",
        "3"
      ]
      const child = yield* node([...argv, "--subcloud", "a"])
      const line = yield* told(child, " connected")
      const { authenticate } = yield* Effect.promise(() => server.session(1))
      assert.match(line, new RegExp(`^\\S+Z node ${authenticate.nodeId} connected$`))
      const { name, region, slots, subclouds } = authenticate.profile
      assert.deepStrictEqual(
        { name, region, slots, subclouds },
        { name: "mine", region: "eu", slots: 3, subclouds: ["a"] }
      )
      child.process.kill("SIGTERM")
      const { code, out, err } = yield* ended(child)
      assert.deepStrictEqual([code, err], [0, ""])
      assert.match(out, / drains: .*\n.* left\n$/)

      const again = yield* node([...argv, "--json"])
      yield* told(again, '"event":"connected"')
      const second = yield* Effect.promise(() => server.session(2))
      assert.strictEqual(second.authenticate.nodeId, authenticate.nodeId)
      again.process.kill("SIGINT")
      const lines = (yield* ended(again)).out.trimEnd().split("\n")
      assert.deepStrictEqual(
        lines.map((one) => JSON.parse(one).event),
        ["serving", "started", "connected", "draining", "left"]
      )
    })
  )

  it.live("finishes what it runs before it leaves, when it is stopped once", () =>
    Effect.gen(function* () {
      const server = yield* daemon()
      const key = join(yield* folder, "node.key")
      const child = yield* node(["--simulate", "steady", "--daemon", server.url, "--key", key])
      const session = yield* Effect.promise(() => server.session(1))
      session.send(assignment("long"))
      yield* Effect.promise(() => session.frames.tagged("Pieces"))
      child.process.kill("SIGINT")
      yield* told(child, "drains")
      const { jobId, attempt } = yield* Effect.promise(() => session.frames.tagged("Result"))
      session.send({ _tag: "Settled", jobId, attempt, status: "accepted" })
      assert.strictEqual((yield* ended(child)).code, 0)
    })
  )

  it.live("leaves at once with 130, when it is stopped again", () =>
    Effect.gen(function* () {
      const server = yield* daemon({ heartbeatMs: 100 })
      const key = join(yield* folder, "node.key")
      const child = yield* node(["--simulate", "steady", "--daemon", server.url, "--key", key])
      const session = yield* Effect.promise(() => server.session(1))
      // Never settled, so the first signal alone would keep it here for half a minute.
      session.send(assignment("unsettled"))
      yield* Effect.promise(() => session.frames.tagged("Pieces"))
      child.process.kill("SIGINT")
      yield* told(child, "drains")
      // The echo of the first within half a second does not count, so it is said again with each heartbeat.
      let beats = 0
      while (child.process.exitCode === null) {
        child.process.kill("SIGINT")
        yield* Effect.promise(() => Promise.race([session.frames.tagged("Heartbeat", beats), child.ended]))
        beats += 1
      }
      assert.strictEqual((yield* ended(child)).code, 130)
      assert.isAtLeast(beats, 3)
    })
  )

  it.live("leaves with 0, when the daemon asks it to", () =>
    Effect.gen(function* () {
      const server = yield* daemon()
      const key = join(yield* folder, "node.key")
      const child = yield* node(["--simulate", "swift", "--daemon", server.url, "--key", key])
      const session = yield* Effect.promise(() => server.session(1))
      session.send({ _tag: "Drain" })
      const { code, out, err } = yield* ended(child)
      assert.deepStrictEqual([code, err], [0, ""])
      assert.match(out, / left\n$/)
    })
  )

  it.live("exits with the failure's code and one line, when coming back is pointless", () =>
    Effect.gen(function* () {
      const server = yield* daemon({ refuse: { close: "wrong_environment", code: "wrong_environment" } })
      const path = yield* folder
      const argv = ["--simulate", "swift", "--daemon", server.url]
      const child = yield* node([...argv, "--key", join(path, "node.key")])
      const { code, err } = yield* ended(child)
      assert.strictEqual(code, 78)
      assert.match(err, /^resultity node: The daemon serves another environment; [^\n]*\n$/)
      const unusable = yield* ended(yield* node([...argv, "--key", path]))
      assert.strictEqual(unusable.code, 66)
      assert.match(unusable.err, /^resultity node: \S+ is not a file\.\n$/)
    })
  )

  it.live("says what its runtime serves, and gives the runtime its key and nobody else", () =>
    Effect.gen(function* () {
      const server = yield* daemon()
      const runtime = yield* Effect.acquireRelease(
        Effect.promise(() => startRuntime()),
        (fake) => Effect.promise(() => fake.close())
      )
      const key = join(yield* folder, "node.key")
      const argv = ["--runtime", runtime.baseUrl, "--daemon", server.url, "--key", key]
      const child = yield* node(argv, { RESULTITY_RUNTIME_KEY: "runtime-secret" })
      assert.match(yield* told(child, "the runtime serves"), /fake-small/)
      const session = yield* Effect.promise(() => server.session(1))
      session.send(assignment("one", { body: { model: "fake-small", messages: [{ role: "user", content: "hi" }] } }))
      yield* Effect.promise(() => session.frames.tagged("Result"))
      assert.strictEqual(runtime.asked[0]?.headers["authorization"], "Bearer runtime-secret")
      child.process.kill("SIGKILL")
      const { out, err } = yield* ended(child)
      assert.notInclude(out + err, "runtime-secret")
    })
  )

  it.live("exits with 1 and one line, when an option will not do, and with 0 after its help", () =>
    Effect.gen(function* () {
      const wrong = yield* ended(yield* node(["--simulate", "quick"]))
      assert.strictEqual(wrong.code, 1)
      assert.match(wrong.err, /^resultity node: --simulate [^\n]*\n$/)
      const help = yield* ended(yield* node(["--help"]))
      assert.deepStrictEqual([help.code, help.err], [0, ""])
      assert.match(help.out, /Examples:\n {2}resultity node /)
    })
  )
})
