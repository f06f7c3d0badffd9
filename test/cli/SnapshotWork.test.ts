/** Long work over the control listener, followed until its end: what came of it, how it failed, and a file that is written whole or not at all. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { callAt, fake } from "./FakeControl.ts"
import { head, work } from "./snapshotCases.ts"

const folder = mkdtempSync(join(tmpdir(), "resultity-export-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const REASON = ["--reason", "so it is"]

describe("long work", () => {
  it.live("is looked at until it is done, and then shows what it made", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const done = { json: { work: work({ state: "done", endedAt: 1, result: head }) } }
      control.answer({ json: { work: work() } }, { json: { work: work() } }, done)
      const { exit, out } = yield* callAt(control, "snapshot", "create", ...REASON)
      assert.strictEqual(exit, 0)
      assert.match(out, /^snapshot +2$/m)
      assert.match(out, /^added +14 blocks, 11\.8 kB$/m)
      assert.deepStrictEqual(
        control.asked.map(({ method, path }) => `${method} ${path}`),
        ["POST /control/snapshots", `GET /control/works/${work().id}`, `GET /control/works/${work().id}`]
      )
    })
  )

  it.live("that failed or was cancelled ends the command with the reason", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer({ json: { work: work({ state: "failed", error: "Archive does not answer (put). Try again." }) } })
      const failed = yield* callAt(control, "snapshot", "create", ...REASON)
      assert.deepStrictEqual([failed.exit, failed.err], [1, "failed: Archive does not answer (put). Try again.\n"])
      control.answer({ json: { work: work({ state: "cancelled" }) } })
      const cancelled = yield* callAt(control, "snapshot", "create", ...REASON)
      assert.deepStrictEqual([cancelled.exit, cancelled.err], [1, `cancelled: ${work().id} was cancelled.\n`])
    })
  )

  it.live("that let snapshots go says how many, and which is the oldest now", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const result = { dryRun: false, removed: 2, kept: 1, oldest: 3, blocks: 14 }
      control.answer({ json: { work: work({ state: "done", result }) } })
      const went = yield* callAt(control, "snapshot", "prune", "--keep", "1", ...REASON)
      assert.deepStrictEqual([went.exit, went.out], [0, "2 snapshots and 14 blocks went; 1 stays, the oldest is 3.\n"])
      control.answer({ json: { work: work({ state: "done", result: { ...result, dryRun: true } }) } })
      const would = yield* callAt(control, "snapshot", "prune", "--keep", "1", "--dry-run", ...REASON)
      assert.match(would.out, /^2 snapshots and 14 blocks would go; /)
      const none = yield* callAt(control, "snapshot", "prune", "--keep", "0", ...REASON)
      assert.deepStrictEqual([none.exit, control.asked.length], [2, 2])
    })
  )

  it.live("that found something broken says each thing in a line, and the exit code is 1", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const fault = { block: "bafyreia", table: "job", why: "is missing" }
      const result = { number: 2, root: null, signer: null, blocks: 3, bytes: 4, rows: 5, faults: [fault] }
      control.answer({ json: { work: work({ state: "done", result }) } })
      const { exit, out, err } = yield* callAt(control, "snapshot", "verify", "2", ...REASON)
      assert.deepStrictEqual([exit, out], [1, "job: the block bafyreia is missing\n"])
      assert.strictEqual(err, "broken: 1 thing is wrong.\n")
    })
  )
})

describe("a pass of a sweeper", () => {
  it.live("is followed until its end, and says how much it took", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const result = { name: "retention", dryRun: false, swept: 1_200, detail: {} }
      const going = work({ kind: "sweep.retention" })
      control.answer({ json: { work: going } }, { json: { work: { ...going, state: "done", result } } })
      const { exit, out } = yield* callAt(control, "sweep", "retention", ...REASON)
      assert.deepStrictEqual([exit, out], [0, "retention took 1200.\n"])
    })
  )
})

describe("archive verify of a daemon", () => {
  it.live("says how much is whole, names what is not, and the exit code is 1 then", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const whole = { segments: 3, rows: 1500, bytes: 20_000, broken: [] }
      control.answer({ json: { work: work({ state: "done", result: whole }) } })
      const well = yield* callAt(control, "archive", "verify", ...REASON)
      assert.deepStrictEqual([well.exit, well.out], [0, "3 of 3 segments are whole: 1500 rows, 20.0 kB.\n"])
      assert.strictEqual(control.asked[0]?.path, "/control/archives/verify")
      const broken = [{ segmentId: "seg_1", why: "has another SHA-256" }]
      control.answer({ json: { work: work({ state: "done", result: { ...whole, broken } }) } })
      const ill = yield* callAt(control, "archive", "verify", ...REASON)
      assert.strictEqual(ill.exit, 1)
      assert.match(ill.out, /^seg_1 has another SHA-256\n2 of 3 segments/)
      assert.strictEqual(ill.err, "broken: 1 segment not whole.\n")
    })
  )
})

describe("snapshot export", () => {
  it.live("writes the bytes of the daemon into a new file, and never over another", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const path = join(folder, "one.car")
      control.answer({ text: "the bytes", type: "application/vnd.ipld.car" }, { text: "other", type: "x/y" })
      const { exit } = yield* callAt(control, "snapshot", "export", "3", "--to", path)
      assert.strictEqual(exit, 0)
      assert.strictEqual(control.asked[0]?.path, "/control/snapshots/3/car")
      assert.strictEqual(readFileSync(path, "utf8"), "the bytes")
      const again = yield* callAt(control, "snapshot", "export", "3", "--to", path)
      assert.deepStrictEqual([again.exit, readFileSync(path, "utf8")], [1, "the bytes"])
      assert.match(again.err, /^cannot_use: --to .*EEXIST/)
    })
  )

  it.live("leaves no file when the connection is lost in the middle", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const path = join(folder, "half.car")
      control.answer((response) => {
        response.writeHead(200, { "content-length": "1000" })
        response.write("half", () => response.destroy())
      })
      const { exit, err } = yield* callAt(control, "snapshot", "export", "3", "--to", path)
      assert.strictEqual(exit, 3)
      assert.match(err, /^unreachable: /)
      assert.isFalse(existsSync(path))
    })
  )
})
