/** Finished jobs on their way to a place of outside analytics, whatever dies between writing a file and remembering it. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Context, Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import type { Batch } from "../../../src/actors/sweep/Sweeper.ts"
import { make, SETTLED_MS } from "../../../src/actors/sweep/SinkSweeper.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobSearch } from "../../../src/layers/JobSearch.ts"
import type { JobSink } from "../../../src/layers/JobSinks.ts"
import * as MemoryRecords from "../../../src/layers/memory/MemoryRecords.ts"
import * as MemoryRecordsLayers from "../../../src/layers/memory/MemoryRecordsLayers.ts"
import { Outage } from "../../../src/layers/Outage.ts"
import { Credits } from "../../../src/schemas/Credits.ts"
import { aFinishedRecord } from "../../support/recordFactories.ts"

const outage = new Outage({ of: "JobSinks", during: "put", cause: "away" })

/** A place of files, and what it does next. */
const aPlace = () => {
  const files = new Map<string, string>()
  const place = { isAway: false }
  const sink: JobSink = {
    name: "s3://jobs",
    put: (name, bytes) =>
      Effect.suspend(() => {
        if (place.isAway) return Effect.fail(outage)
        files.set(name, Buffer.from(bytes).toString("utf8"))
        return Effect.void
      })
  }
  return { files, place, sink }
}

const idsIn = (text: string): ReadonlyArray<string> =>
  text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line).jobId)

/** `jobs-TIME-ID-TIME-ID.ndjson`, or without the first id. */
const beginningOf = (name: string): string => name.split("-").slice(0, -2).join("-")

const house = Effect.gen(function* () {
  const context = yield* Layer.build(MemoryRecordsLayers.over(MemoryRecords.make()))
  return { search: Context.get(context, JobSearch), records: Context.get(context, JobRecords) }
})

const Happening = Schema.Literals(["jobs", "a minute", "pass", "death after writing", "an old leader", "away"])

it.effect.prop(
  "S79: every finished job comes to the place at least once, and once by files that begin apart, whoever dies in between",
  {
    story: Arbitrary.array(Arbitrary.schema(Happening), { maxLength: 40 }),
    max: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 })))
  },
  ({ story, max }) =>
    Effect.gen(function* () {
      const { search, records } = yield* house
      const { files, place, sink } = aPlace()
      const { sweepBatch } = make(search, sink)
      const finished: Array<string> = []
      let watermark: Schema.Json = null
      let at = 1_000
      let stale: Schema.Json = null
      for (const happening of story) {
        if (happening === "jobs") {
          for (let count = 0; count < 3; count++) {
            const record = aFinishedRecord(at + (count >> 1))
            finished.push(record.jobId)
            yield* records.open(record)
          }
          at += 10
        } else if (happening === "a minute") {
          stale = watermark
          yield* TestClock.adjust("1 minute")
          at += 60_000
        } else {
          place.isAway = happening === "away"
          const batch: Batch | null = yield* sweepBatch(
            happening === "an old leader" ? stale : watermark,
            max,
            false
          ).pipe(Effect.catchTag("Outage", () => Effect.succeed(null)))
          if (batch !== null && happening === "pass") watermark = batch.watermark
        }
      }
      place.isAway = false
      yield* TestClock.adjust(at + SETTLED_MS)
      for (let taken = max; taken === max;) {
        const batch = yield* sweepBatch(watermark, max, false)
        watermark = batch.watermark
        taken = batch.taken
      }

      const all = [...files.values()].flatMap(idsIn)
      assert.deepStrictEqual(new Set(all), new Set(finished))
      // Of those that begin alike, the last one holds the others.
      const byBeginning = Map.groupBy([...files.keys()].toSorted(), beginningOf)
      for (const names of byBeginning.values()) {
        const longest = new Set(idsIn(files.get(names.at(-1)!)!))
        for (const name of names)
          assert.isTrue(
            idsIn(files.get(name)!).every((id) => longest.has(id)),
            name
          )
      }
    }).pipe(Effect.scoped),
  { arbitrary: { runs: 150 } }
)

it.effect(
  "a line is what an operator sees of a job: credits as decimals, no prompt and no answer; a dry run writes none",
  () =>
    Effect.gen(function* () {
      const { search, records } = yield* house
      const { files, sink } = aPlace()
      const { sweepBatch } = make(search, sink)
      const record = aFinishedRecord(5, { cost: Credits.make(1_500_000n) })
      yield* records.open(record)
      assert.strictEqual((yield* sweepBatch(null, 10, false)).taken, 0)
      yield* TestClock.adjust(SETTLED_MS + 6)
      assert.strictEqual((yield* sweepBatch(null, 10, true)).taken, 1)
      assert.strictEqual(files.size, 0)
      yield* sweepBatch(null, 10, false)
      const [[name, text]] = [...files] as [[string, string]]
      assert.strictEqual(name, `jobs-0000000000000-0000000000005-${record.jobId}.ndjson`)
      const line = JSON.parse(text)
      assert.deepInclude(line, { jobId: record.jobId, cost: "1.5", state: "completed", promptTokens: 3 })
      assert.notMatch(text, /hello|"hi"|request|choices/)
    }).pipe(Effect.scoped)
)
