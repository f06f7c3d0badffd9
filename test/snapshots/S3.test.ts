/** Snapshots in a bucket, when there is a server: the same root as in memory, read back whole, and a broken block named. */
import { randomBytes } from "node:crypto"
import { assert, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { afterAll, describe } from "vitest"
import * as S3Archive from "../../src/layers/s3/S3Archive.ts"
import { prune } from "../../src/snapshots/Pruning.ts"
import { verifyIn, listOf } from "../../src/snapshots/Snapshots.ts"
import { openShell } from "../layers/s3/S3Shell.ts"
import { aState } from "../support/stateFactories.ts"
import { AT, coldStorage, memoryRows, quiet, snapshotOf } from "./Bench.ts"

const S3_URL = process.env["S3_URL"] ?? ""
const WHAT = "snapshots in a bucket"

const suite = () => {
  const bucket = `resultity-test-${randomBytes(6).toString("hex")}`
  const [accessKey, secretKey] = [process.env["S3_ACCESS_KEY"] ?? "", process.env["S3_SECRET_KEY"] ?? ""]
  const keys = { accessKey, secretKey: Redacted.make(secretKey) }
  const config = { url: S3_URL, bucket, region: "us-east-1", ...keys, prefix: "cold", createBucket: true }
  const shell = openShell({ url: S3_URL, bucket, accessKey, secretKey })
  afterAll(async () => {
    shell.drop()
    await shell.close()
  })

  it.live("S18: are what they would be elsewhere, and a broken block is named", () =>
    Effect.gen(function* () {
      const { state, rows } = memoryRows(aState({ namespaces: 3, jobs: 300 }))
      // The layer makes the bucket.
      yield* Effect.scoped(Effect.asVoid(Effect.provide(Effect.void, S3Archive.layer(config))))
      const there = yield* S3Archive.reach(config)
      const [first, elsewhere] = [yield* snapshotOf(rows, there), yield* snapshotOf(rows, coldStorage())]
      assert.strictEqual(first.state, elsewhere.state)
      const second = yield* snapshotOf(rows, there, AT + 1)
      assert.isAtMost(second.blocksAdded, 4)
      assert.deepStrictEqual(yield* listOf(there, 10), [second, first])
      assert.deepStrictEqual((yield* verifyIn(there, 2, second.signer, quiet)).faults, [])

      const name = (yield* there.names("blocks/")).find((one) => one.endsWith(first.state)) ?? ""
      const bytes = shell.read(`cold/${name}`)!
      shell.write(`cold/${name}`, bytes.with(9, bytes[9]! ^ 1))
      const { faults } = yield* verifyIn(there, 2, second.signer, quiet)
      assert.deepInclude(faults[0], { block: first.state, table: "state" })

      state.tables.set("job", [])
      const third = yield* snapshotOf(rows, there, AT + 2)
      const { removed, blocks } = yield* prune({ rows, blobs: there }, { keep: 1, dryRun: false }, quiet)
      assert.strictEqual(removed, 2)
      assert.isAbove(blocks, 3)
      assert.deepStrictEqual(yield* listOf(there, 10), [third])
      assert.deepStrictEqual((yield* verifyIn(there, 3, third.signer, quiet)).faults, [])
      assert.isNull(shell.read(`cold/${name}`))
    })
  )
}

if (S3_URL === "") {
  console.warn(`skipped: ${WHAT}; set S3_URL, S3_ACCESS_KEY and S3_SECRET_KEY to an S3 server`)
  describe.skip(WHAT, () => it("needs a server", () => {}))
} else describe(WHAT, suite)
