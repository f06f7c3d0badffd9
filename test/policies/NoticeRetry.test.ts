/** What comes of an attempt: the schedule with its chance, the ends, and whom a failure counts against. */
import { assert, describe, it } from "@effect/vitest"
import {
  FAILING_MAX_MS,
  JITTER,
  PAUSES_MS,
  RETRY_AFTER_MAX_MS,
  type Tried,
  verdictOn
} from "../../src/policies/NoticeRetry.ts"

const tried = (over: Partial<Tried> = {}): Tried => ({
  attempt: 1,
  status: 500,
  retryAfter: null,
  isTest: false,
  failingSince: null,
  now: 1_000_000_000_000,
  random01: 0,
  ...over
})

const pauseAfter = (over: Partial<Tried>): number => {
  const verdict = verdictOn(tried(over))
  return verdict._tag === "Again" ? verdict.dueAt - tried().now : Number.NaN
}

describe("an attempt", () => {
  it("is the last one when the receiver took it, with any status of 200 to 299", () => {
    for (const status of [200, 204, 299]) assert.strictEqual(verdictOn(tried({ status }))._tag, "Delivered")
    for (const status of [199, 300, 302, 400, 404, 429, 500, null]) {
      assert.strictEqual(verdictOn(tried({ status }))._tag, "Again", String(status))
    }
  })

  it("is followed by the next one after the pause of its number, by chance up to a quarter later", () => {
    for (const [index, pause] of PAUSES_MS.entries()) {
      assert.strictEqual(pauseAfter({ attempt: index + 1 }), pause)
      const late = pauseAfter({ attempt: index + 1, random01: 0.999_999 })
      assert.isTrue(late > pause && late <= pause * (1 + JITTER))
    }
    const hours = PAUSES_MS.reduce((sum, pause) => sum + pause, 0) / 3_600_000
    assert.isTrue(hours > 72 && hours < 96)
  })

  it("is the last one when no pause is left", () => {
    const verdict = verdictOn(tried({ attempt: PAUSES_MS.length + 1 }))
    assert.deepStrictEqual(verdict, { _tag: "Failed", disableFor: null })
  })

  it("ends the webhook at once when the receiver is gone, tests too", () => {
    for (const isTest of [false, true]) {
      assert.deepStrictEqual(verdictOn(tried({ status: 410, isTest })), { _tag: "Failed", disableFor: "gone" })
    }
  })

  it("ends the webhook when nothing came through for three days, and keeps what waits", () => {
    const { now } = tried()
    assert.deepInclude(verdictOn(tried({ failingSince: now - FAILING_MAX_MS + 1 })), { disableFor: null })
    assert.deepInclude(verdictOn(tried({ failingSince: now - FAILING_MAX_MS })), {
      _tag: "Again",
      disableFor: "failing"
    })
  })

  it("of a test is the only one, and ends no webhook", () => {
    const verdict = verdictOn(tried({ isTest: true, failingSince: 0 }))
    assert.deepStrictEqual(verdict, { _tag: "Failed", disableFor: null })
  })

  it("waits as long as 429 and 503 ask for, up to a bound, and believes nothing that is no number of seconds", () => {
    for (const status of [429, 503]) {
      assert.strictEqual(pauseAfter({ status, retryAfter: "60" }), 60_000)
      assert.strictEqual(pauseAfter({ status, retryAfter: "86400" }), RETRY_AFTER_MAX_MS)
      assert.strictEqual(pauseAfter({ status, retryAfter: "1" }), PAUSES_MS[0])
      for (const retryAfter of ["-1", "abc", "", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT", "9".repeat(30)]) {
        assert.strictEqual(pauseAfter({ status, retryAfter }), PAUSES_MS[0], retryAfter)
      }
    }
    assert.strictEqual(pauseAfter({ status: 500, retryAfter: "60" }), PAUSES_MS[0])
  })
})
