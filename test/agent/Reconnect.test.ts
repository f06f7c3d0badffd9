/**
 * When an agent comes back, and when it does not.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { clockWarning, finalFailure, pauseMs, type SessionEnd, wasGood } from "../../src/agent/Reconnect.ts"
import { CLOSE } from "../../src/schemas/AgentFrame.ts"

const end = (closeCode: number, more: Partial<SessionEnd> = {}): SessionEnd => ({
  closeCode,
  refused: null,
  registered: true,
  ...more
})

describe("the pause before coming back", () => {
  it.effect.prop(
    "is below a second the first time and below 15 s always, for any luck",
    {
      draw: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
      failures: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1e6 }))
    },
    ({ draw, failures }) =>
      Effect.sync(() => {
        assert.isBelow(pauseMs(0, draw), 1_000)
        assert.isAtMost(pauseMs(failures, draw), 15_000)
        assert.isAtLeast(pauseMs(failures, draw), 25)
        assert.isAtLeast(pauseMs(failures + 1, draw), pauseMs(failures, draw))
      })
  )

  it("is the short one again after a good session, and not after one that the daemon found fault with", () => {
    assert.isTrue(wasGood(end(1006)))
    assert.isTrue(wasGood(end(CLOSE.draining)))
    assert.isFalse(wasGood(end(1006, { registered: false })))
    for (const code of [CLOSE.bad_frame, CLOSE.out_of_order, CLOSE.overloaded]) assert.isFalse(wasGood(end(code)))
  })
})

describe("the end of a session", () => {
  it("is final when the daemon will never take this agent, and says why", () => {
    assert.strictEqual(finalFailure(end(CLOSE.unauthenticated), 0)?.code, "unauthenticated")
    assert.strictEqual(finalFailure(end(CLOSE.wrong_environment), 0)?.code, "wrong_environment")
    assert.strictEqual(finalFailure(end(CLOSE.superseded), 3)?.code, "superseded")
  })

  it("is not final otherwise", () => {
    for (const code of [1000, 1006, CLOSE.draining, CLOSE.handshake_timeout, CLOSE.too_fast, CLOSE.frame_too_big]) {
      assert.isNull(finalFailure(end(code), 0))
    }
    // A daemon may have heard late of an older connection of this very agent.
    for (const times of [1, 2]) assert.isNull(finalFailure(end(CLOSE.superseded), times))
  })

  it("is not final when two clocks differ, because the daemon's may be the wrong one; the warning says by how much", () => {
    const skewed = end(CLOSE.unauthenticated, { refused: { code: "clock_skew", message: "more than 60 s", at: 1_000 } })
    assert.isNull(finalFailure(skewed, 0))
    assert.include(clockWarning(skewed, 3_601_000), "3600 s apart")
    assert.isNull(clockWarning(end(CLOSE.unauthenticated), 3_601_000))
  })
})
