/**
 * The key file: made once and whole, private to its owner, and never guessed at when something is wrong with it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fromFile } from "../../src/agent/Identity.ts"

const folder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "identity-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true }))
)
const modeOf = (path: string) => Effect.promise(async () => (await stat(path)).mode & 0o777)

describe("an identity file", () => {
  it.effect("is made for its owner alone when it is not there, and gives the same node afterwards", () =>
    Effect.gen(function* () {
      const home = join(yield* folder, "node")
      const path = join(home, "key")
      const first = yield* fromFile(path)
      assert.strictEqual(yield* modeOf(path), 0o600)
      assert.strictEqual(yield* modeOf(home), 0o700)
      assert.strictEqual((yield* fromFile(path)).nodeId, first.nodeId)
      assert.match(first.nodeId, /^0x[0-9a-f]{40}$/)
      assert.deepStrictEqual(yield* Effect.promise(() => readdir(home)), ["key"])
    })
  )

  it.effect("is made once when several agents start for the first time together", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "key")
      const all = yield* Effect.forEach(Array.from({ length: 8 }), () => fromFile(path), { concurrency: 8 })
      assert.strictEqual(new Set(all.map(({ nodeId }) => nodeId)).size, 1)
    })
  )

  it.effect("is refused when others may read it", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "key")
      yield* fromFile(path)
      yield* Effect.promise(() => chmod(path, 0o640))
      const failure = yield* Effect.flip(fromFile(path))
      assert.strictEqual(failure.code, "identity")
      assert.include(failure.message, "chmod 600")
      assert.strictEqual(failure.exitCode, 66)
    })
  )

  it.effect("may be supplied by the operator", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "key")
      const key = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
      yield* Effect.promise(() => writeFile(path, key, { mode: 0o600 }))
      assert.strictEqual((yield* fromFile(path)).nodeId, "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266")
    })
  )

  it.effect("is refused and left as it is when it holds no key", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "key")
      for (const bad of ["", "hello", "00".repeat(32), "ff".repeat(32), "ab".repeat(31)]) {
        yield* Effect.promise(() => writeFile(path, bad, { mode: 0o600 }))
        assert.strictEqual((yield* Effect.flip(fromFile(path))).code, "identity", bad)
        assert.strictEqual(yield* Effect.promise(() => readFile(path, "utf8")), bad)
      }
    })
  )

  it.effect("is refused when its path is a folder", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(fromFile(yield* folder))).code, "identity")
    })
  )
})
