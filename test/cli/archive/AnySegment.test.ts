/** Whatever stands in a segment comes back through the command, and whichever bit of it turns, the command names the segment. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { readFileSync } from "node:fs"
import { archiveLine, arbitraryPiece, arbitraryRecord, freshNamespace } from "../../support/recordFactories.ts"
import { call } from "../FakeControl.ts"
import { aSegment, blobOf, flip, folderOf, manifestOf, segmentOf, textOf } from "./Places.ts"

const archive = (...words: ReadonlyArray<string>) => call(["archive", ...words])

it.effect.prop(
  "any jobs are whole and come back as they were written",
  {
    jobs: Arbitrary.array(Arbitrary.all({ record: arbitraryRecord, traces: Arbitrary.array(arbitraryPiece) }), {
      minLength: 1,
      maxLength: 4
    }),
    finishedAt: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4_000_000_000_000 }))
  },
  ({ jobs, finishedAt }) =>
    Effect.gen(function* () {
      const namespaceId = freshNamespace()
      const ended = jobs.map(({ record, traces }, at) => ({
        record: { ...record, version: 1, namespaceId, finishedAt: finishedAt + at },
        traces,
        logs: []
      }))
      const segment = segmentOf(
        ended.map(({ record }) => record),
        { lines: ended.map(archiveLine) }
      )
      const root = yield* folderOf(segment)
      const verified = yield* archive("verify", "--from", root)
      assert.deepStrictEqual([verified.exit, verified.err], [0, ""], verified.out)
      assert.strictEqual((yield* archive("cat", "--all", "--from", root)).out, textOf(segment))
    }),
  { arbitrary: { runs: 40 } }
)

it.effect.prop(
  "any bit that turns in its file or its manifest is told of, by the name of the segment",
  {
    jobs: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 })),
    where: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999_999 })),
    bit: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 7 })),
    inManifest: Schema.Boolean
  },
  ({ jobs, where, bit, inManifest }) =>
    Effect.gen(function* () {
      const [segment, other] = [aSegment(jobs), aSegment()]
      const root = yield* folderOf(segment, other)
      const path = (inManifest ? manifestOf : blobOf)(root, segment)
      flip(path, Math.floor(where * readFileSync(path).length), bit)
      const { exit, out } = yield* archive("verify", "--from", root)
      assert.strictEqual(exit, 1)
      const [broken, whole] = out.split("\n")
      assert.match(broken!, new RegExp(`^${segment.id} (?:hashes to|has |is of )`))
      assert.match(whole!, /^1 segment is whole/)
    }),
  { arbitrary: { runs: 150 } }
)

it.effect("every single byte of a manifest counts", () =>
  Effect.gen(function* () {
    const segment = aSegment(1)
    const root = yield* folderOf(segment)
    const path = manifestOf(root, segment)
    for (let at = 0; at < readFileSync(path).length; at++) {
      flip(path, at)
      const { exit, out } = yield* archive("verify", "--from", root)
      assert.deepStrictEqual([exit, out.startsWith(segment.id)], [1, true], `byte ${at}`)
      flip(path, at)
    }
    assert.strictEqual((yield* archive("verify", "--from", root)).exit, 0)
  })
)
