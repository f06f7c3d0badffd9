/** A page of jobs, asked for stretch by stretch, is the page that one sort of them all would give, and nothing long is ever sorted. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import type { Cursor, JobFilter } from "../../../src/layers/JobSearch.ts"
import { newestFirst, type Wanted } from "../../../src/layers/mongodb/NewestFirst.ts"
import { JobId } from "../../../src/schemas/Ids.ts"

const NOW = 1_700_000_000_000
const DAY = 86_400_000
/** As many as are sorted at once for a page of twenty, at most. */
const SORTED_MAX = 1_000

const idAt = (at: number) => JobId.make(`job_${String(at).padStart(8, "0")}`)
const later = (one: Cursor, other: Cursor) =>
  other.createdAt - one.createdAt || (one.jobId < other.jobId ? 1 : one.jobId > other.jobId ? -1 : 0)

/** Jobs at these times, and what a server does to answer for them. */
const serverOf = (times: ReadonlyArray<number>) => {
  const jobs = times.map((createdAt, at): Cursor => ({ createdAt, jobId: idAt(at) })).toSorted(later)
  const cost = { asked: 0, sorted: 0 }
  const matching = ({ from, to }: JobFilter, after: Cursor | null) =>
    jobs.filter(
      (job) =>
        (from === undefined || job.createdAt >= from) &&
        (to === undefined || job.createdAt < to) &&
        (after === null || later(after, job) < 0)
    )
  return {
    cost,
    plain: ({ filter, after, limit }: Wanted) => matching(filter, after).slice(0, limit),
    count: (filter: JobFilter, after: Cursor | null, most: number) => {
      cost.asked++
      return Promise.resolve(Math.min(most, matching(filter, after).length))
    },
    find: async function* (filter: JobFilter, after: Cursor | null, limit: number) {
      cost.asked++
      const found = matching(filter, after)
      cost.sorted = Math.max(cost.sorted, found.length)
      yield* found.slice(0, limit)
    }
  }
}

const pageOf = async (server: ReturnType<typeof serverOf>, wanted: Wanted) => {
  const page: Array<Cursor> = []
  for await (const job of newestFirst(server, wanted)) page.push(job)
  return page
}

const everyMs = (count: number, step: number, newest: number) =>
  Array.from({ length: count }, (_, at) => newest - at * step)

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
/** About the epoch, about now, within what is kept, or anywhere: so that there are neighbours and gaps. */
const Time = Schema.Union([
  between(-5, 5),
  between(NOW - 5_000, NOW + 2_000),
  between(NOW - 90 * DAY, NOW),
  between(0, NOW)
])
const Asked = Schema.Struct({
  from: Schema.optionalKey(Time),
  to: Schema.optionalKey(Time),
  after: Schema.NullOr(Schema.Struct({ createdAt: Time, at: between(0, 30) })),
  limit: between(0, 25)
})

describe("jobs newest first, by stretches of time", () => {
  it.effect.prop(
    "are the same page as a sort would give, whatever the bounds, the cursor and the gaps",
    { times: Arbitrary.array(Arbitrary.schema(Time), { maxLength: 60 }), asked: Arbitrary.schema(Asked) },
    ({ times, asked: { from, to, after, limit } }) =>
      Effect.promise(async () => {
        const server = serverOf(times)
        const wanted = {
          filter: { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) },
          after: after === null ? null : { createdAt: after.createdAt, jobId: idAt(after.at) },
          limit,
          now: NOW
        }
        assert.deepStrictEqual(await pageOf(server, wanted), server.plain(wanted))
      }),
    { arbitrary: { runs: 1_000 } }
  )

  const asked = { filter: {}, after: null, limit: 20, now: NOW }
  it.each([
    ["a steady stream", everyMs(50_000, 2_600, NOW), 8],
    ["a stream that paused for a weekend", everyMs(50_000, 2_600, NOW - 2 * DAY), 40],
    ["a burst a year ago", everyMs(50_000, 1, NOW - 365 * DAY), 80],
    ["a few in ten years", everyMs(30, 120 * DAY, NOW - DAY), 16],
    ["none", [], 16]
  ])("ask little for %s, and never sort much", async (_, times, questions) => {
    const server = serverOf(times)
    assert.deepStrictEqual(await pageOf(server, asked), server.plain(asked))
    assert.isAtMost(server.cost.asked, questions)
    assert.isBelow(server.cost.sorted, SORTED_MAX)
  })

  it("split no millisecond, however many jobs it holds", async () => {
    const server = serverOf(Array.from({ length: 3_000 }, () => NOW - DAY))
    assert.deepStrictEqual(await pageOf(server, asked), server.plain(asked))
  })
})
