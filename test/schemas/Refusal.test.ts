import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { refuse, RefusalCode, REFUSALS } from "../../src/schemas/Refusal.ts"

const codes = RefusalCode.literals
/** The statuses that the official SDKs try again without asking. */
const isRetriedBySdks = (status: number) => status === 408 || status === 409 || status === 429 || status >= 500

describe("Refusal", () => {
  it("every code has an error status and a type of OpenAI's shape", () => {
    assert.isAbove(codes.length, 25)
    for (const code of codes) {
      const { status, type } = REFUSALS[code]
      assert.isTrue(Number.isInteger(status) && status >= 400 && status < 600, code)
      assert.match(type, /^[a-z]+(_[a-z]+)*$/, code)
      assert.match(code, /^[a-z]+(_[a-z]+)*$/)
    }
  })

  it("a code that is worth another try has a status with which SDKs try again", () => {
    for (const code of codes) if (REFUSALS[code].retry) assert.isTrue(isRetriedBySdks(REFUSALS[code].status), code)
  })

  it("few codes are final with a status that SDKs try again, and these are all of them", () => {
    const mismatched = codes.filter((code) => isRetriedBySdks(REFUSALS[code].status) && !REFUSALS[code].retry)
    assert.deepStrictEqual(mismatched, ["conflict", "internal_error", "not_available", "job_failed", "job_cancelled"])
  })

  it("money, identity and bad requests are never tried again", () => {
    for (const code of codes) if (REFUSALS[code].status < 408) assert.isFalse(REFUSALS[code].retry, code)
  })

  it.prop(
    "a refusal carries its code's meaning and what it was told",
    { code: RefusalCode, message: Schema.String, param: Schema.String },
    ({ code, message, param }) => {
      const refusal = refuse(code, message, { param, retryAfterMs: 5 })
      assert.strictEqual(refusal.meaning, REFUSALS[code])
      assert.deepStrictEqual(
        [refusal._tag, refusal.code, refusal.message, refusal.param, refusal.retryAfterMs],
        ["Refusal", code, message, param, 5]
      )
      assert.isFalse("jobId" in refusal)
    }
  )
})
