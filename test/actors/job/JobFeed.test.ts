/** What readers of one job share, and when it gives way to a fresh one. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { close, JobFeeds, reader } from "../../../src/actors/job/JobFeed.ts"
import type { JobId, NamespaceId } from "../../../src/schemas/Ids.ts"

const JOB = "job_01kdvdne18ftd1x8rn6aamxx2f" as JobId
const OWNER = "ns_01kdvdne18ftd1x8rn6aamxx2f" as NamespaceId

describe("JobFeed", () => {
  it.effect(
    "of a job that moved away gives way to a fresh one, so that its readers wait and do not ask again and again",
    () =>
      Effect.gen(function* () {
        const feeds = yield* JobFeeds
        const before = feeds.open(JOB, OWNER)
        close(before, "moved")
        assert.deepStrictEqual(yield* reader(before, 0).take, [{ _tag: "Moved" }])
        const after = feeds.open(JOB, OWNER)
        assert.notStrictEqual(after, before)
        assert.isNull(after.closed)
        feeds.forget(before)
        assert.strictEqual(feeds.find(JOB), after)
      }).pipe(Effect.provide(JobFeeds.layer))
  )

  it.effect("that a leaving daemon closed stays as it is", () =>
    Effect.gen(function* () {
      const feeds = yield* JobFeeds
      const feed = feeds.open(JOB, OWNER)
      close(feed, "left")
      assert.strictEqual(feeds.open(JOB, OWNER), feed)
    }).pipe(Effect.provide(JobFeeds.layer))
  )
})
