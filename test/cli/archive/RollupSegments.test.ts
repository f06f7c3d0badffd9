/** Segments of rollups in an archive that is read without a daemon: listed, checked and copied like those of jobs, and any wrong line is named. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SegmentId } from "../../../src/schemas/Archive.ts"
import { canonicalJson } from "../../../src/schemas/CanonicalJson.ts"
import type { NewSegment } from "../../../src/layers/Archive.ts"
import { DAY_MS, HOUR_MS, ROLLUP_VERSION, RollupLine, type RollupRow } from "../../../src/schemas/Rollup.ts"
import { unique } from "../../support/factories.ts"
import { call } from "../FakeControl.ts"
import { aSegment, folderOf, freshFolder, rewriteManifest, manifestOf, textOf } from "./Places.ts"

const archive = (...words: ReadonlyArray<string>) => call(["archive", ...words])
const encodeLine = Schema.encodeSync(RollupLine)

const DAY = Date.UTC(2026, 0, 5)

const aRow = (hour: number): RollupRow => ({
  definition: "accounts",
  period: DAY + hour * HOUR_MS,
  environment: "testnet",
  namespaces: 1,
  keys: 2,
  openJobs: 0,
  granted: 2n ** 70n,
  available: 2n ** 70n,
  reserved: 0n,
  spent: 0n
})

const aDay = (
  lines: ReadonlyArray<string> = [0, 1, 2].map((hour) => canonicalJson(encodeLine(aRow(hour))))
): NewSegment => ({
  id: SegmentId.make(`seg_${Buffer.from(unique()).toString("hex").slice(-32)}`),
  dataClass: "rollups",
  namespaceId: null,
  recordVersion: 1,
  from: DAY,
  to: DAY + 2 * HOUR_MS,
  createdAt: DAY + DAY_MS,
  lines
})

describe("a segment of rollups", () => {
  it.live("is listed without a namespace, whole, handed on as it is, and copied, beside segments of jobs", () =>
    Effect.gen(function* () {
      const [day, jobs] = [aDay(), aSegment()]
      const root = yield* folderOf(day, jobs)
      assert.match((yield* archive("list", "--from", root)).out, new RegExp(`${day.id} +rollups +- +3 `))
      assert.match((yield* archive("verify", "--from", root)).out, /^2 segments are whole/)
      assert.strictEqual((yield* archive("cat", day.id, "--from", root)).out, textOf(day))
      const copy = freshFolder()
      assert.strictEqual((yield* archive("restore", "--from", root, "--into", copy)).exit, 0)
      assert.match((yield* archive("verify", day.id, "--from", copy)).out, /^1 segment is whole: 3 lines/)
      const [line] = jobs.lines
      const { jobId } = (JSON.parse(line!) as { record: { jobId: string } }).record
      assert.strictEqual((yield* archive("cat", "--job", jobId, "--from", root)).out, `${line}\n`)
    })
  )

  it.live("is broken, and says where, when a line is no rollup, stands twice, or is outside of the span", () =>
    Effect.gen(function* () {
      const line = canonicalJson(encodeLine(aRow(0)))
      for (const [lines, says] of [
        [[line, "{}"], /has a line 2 that is no rollup/],
        [[line, "nothing"], /has a line 2 that is no rollup/],
        [[line, line], /has a line 2 with a row that it holds already/],
        [[line], /spans 2026-01-05T00:00:00\.000Z to 2026-01-05T00:00:00\.000Z, not 2026/]
      ] as const) {
        const { exit, out } = yield* archive("verify", "--from", yield* folderOf(aDay(lines)))
        assert.strictEqual(exit, 1)
        assert.match(out, says)
      }
    })
  )

  it.live("of a later program is refused by name", () =>
    Effect.gen(function* () {
      const day = aDay()
      const root = yield* folderOf(day)
      rewriteManifest(manifestOf(root, day), (fields) => ({ ...fields, recordVersion: ROLLUP_VERSION + 1 }))
      assert.include(
        (yield* archive("verify", "--from", root)).out,
        `is of record version ${ROLLUP_VERSION + 1}, and this program knows them up to ${ROLLUP_VERSION}`
      )
    })
  )
})
