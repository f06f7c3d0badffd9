/** Segments of rows in an archive that is read without a daemon: listed, checked, shown and copied like the others, and any wrong line is named. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { NewSegment } from "../../../src/layers/Archive.ts"
import { segmentIdOf } from "../../../src/policies/Retention.ts"
import { canonicalJson } from "../../../src/schemas/CanonicalJson.ts"
import { JOB_ROW_VERSION, JobRowLine, type LeavingRow } from "../../../src/schemas/JobRowLine.ts"
import { aJob, aNodeId, credits, endedRow } from "../../support/factories.ts"
import { call } from "../FakeControl.ts"
import { aSegment, FINISHED, folderOf, freshFolder, manifestOf, rewriteManifest, textOf } from "./Places.ts"

const archive = (...words: ReadonlyArray<string>) => call(["archive", ...words])
const encodeLine = Schema.encodeSync(JobRowLine)

const aRow = (at: number): LeavingRow => {
  const job = aJob({ clientTag: "customer 7" })
  const event = { jobId: job.id, from: null, epoch: 0, attempt: 0, daemonId: null, nodeId: null, code: null }
  return {
    row: {
      ...endedRow({ job, nodeId: aNodeId(), charged: credits(7) }),
      owner: null,
      state: "completed",
      finishedAt: at
    },
    events: [{ ...event, seq: 1, kind: "admitted", to: "queued", at: at - 9 }]
  }
}

const rows = [aRow(FINISHED), aRow(FINISHED + 5)]
const lineOf = (row: LeavingRow) => canonicalJson(encodeLine(row))

const aBatch = (lines: ReadonlyArray<string> = rows.map(lineOf)): NewSegment => ({
  id: segmentIdOf(
    null,
    rows.map(({ row }) => row.job.id),
    "rows"
  ),
  dataClass: "rows",
  namespaceId: null,
  recordVersion: JOB_ROW_VERSION,
  from: FINISHED,
  to: FINISHED + 5,
  createdAt: FINISHED + 9,
  lines
})

describe("a segment of rows", () => {
  it.live("C97: is listed without a namespace, whole, shown as it is, and copied, beside segments of jobs", () =>
    Effect.gen(function* () {
      const [batch, jobs] = [aBatch(), aSegment()]
      const root = yield* folderOf(batch, jobs)
      assert.match((yield* archive("list", "--from", root)).out, new RegExp(`${batch.id} +rows +- +2 `))
      assert.match((yield* archive("verify", "--from", root)).out, /^2 segments are whole/)
      assert.strictEqual((yield* archive("cat", batch.id, "--from", root)).out, textOf(batch))
      const copy = freshFolder()
      assert.strictEqual((yield* archive("restore", "--from", root, "--into", copy)).exit, 0)
      assert.match((yield* archive("verify", batch.id, "--from", copy)).out, /^1 segment is whole: 2 lines/)
    })
  )

  it.live(
    "is broken, and says where and never what, when a line is no row, stands twice, or is outside of the span",
    () =>
      Effect.gen(function* () {
        const [first = "", second = ""] = rows.map(lineOf)
        for (const [lines, says] of [
          [[first, "{}"], /has a line 2 whose row is not what one of rows of version/],
          [[first, second.replace('"completed"', '"active"')], /has a line 2 whose row\.state is not/],
          [[first, first], /has a line 2 with a job that it holds already/],
          [[first], /spans .* not /]
        ] as const) {
          const { exit, out } = yield* archive("verify", "--from", yield* folderOf(aBatch(lines)))
          assert.strictEqual(exit, 1)
          assert.match(out, says)
          assert.notInclude(out, "customer 7")
        }
      })
  )

  it.live("of a later program is refused by name", () =>
    Effect.gen(function* () {
      const batch = aBatch()
      const root = yield* folderOf(batch)
      rewriteManifest(manifestOf(root, batch), (fields) => ({ ...fields, recordVersion: JOB_ROW_VERSION + 1 }))
      const { exit, out } = yield* archive("verify", "--from", root)
      assert.strictEqual(exit, 1)
      assert.include(
        out,
        `is of record version ${JOB_ROW_VERSION + 1}, and this program knows them up to ${JOB_ROW_VERSION}`
      )
    })
  )
})
