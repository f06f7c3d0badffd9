/** The hand-written mapping of job facts, held to the Schema that it replaces; and what the rooms' helpers promise without a server. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ConnectionError, SqlError, UnknownError } from "effect/sql/SqlError"
import { describe } from "vitest"
import { roundsOf } from "../../../src/layers/postgres/PgBatch.ts"
import { isConflict, isDataError, isOutage } from "../../../src/layers/postgres/PgErrors.ts"
import { decodeJob, encodeJob } from "../../../src/layers/JobText.ts"
import { decodeLane, encodeLane } from "../../../src/layers/postgres/PgJobRows.ts"
import { CREDITS_MAX } from "../../../src/schemas/Credits.ts"
import { Environment, Job, Priority } from "../../../src/schemas/Job.ts"
import { aJob, credits } from "../../support/factories.ts"

const wire = Schema.fromJsonString(Schema.toCodecJson(Job))
const encodeWire = Schema.encodeSync(wire)
const decodeWire = Schema.decodeSync(wire)

/** Without -0, which no integer column and no JSON keeps apart from 0. */
const plain = (job: Job): Job => decodeWire(encodeWire(job)) satisfies Job

describe("the facts of a job in PostgreSQL", () => {
  it.effect.prop(
    "come back as they were, and as the Schema reads them, when they were stored",
    { job: Job },
    ({ job }) =>
      Effect.sync(() => {
        const exact = plain(job)
        assert.deepStrictEqual(decodeJob(encodeJob(exact)), exact)
        assert.deepStrictEqual(decodeWire(encodeJob(exact)), exact)
        assert.deepStrictEqual(decodeJob(encodeWire(exact)), exact)
      })
  )

  it("keep the largest amount to the last unit, when they are stored", () => {
    assert.strictEqual(decodeJob(encodeJob(aJob({ reserved: credits(CREDITS_MAX) }))).reserved, CREDITS_MAX)
  })

  it("hold no byte that PostgreSQL refuses, when a name holds NUL or half a character", () => {
    const job = aJob({ model: "a\u0000b", clientTag: "\ud800" })
    assert.isFalse(encodeJob(job).includes("\u0000"))
    assert.isTrue(encodeJob(job).isWellFormed())
    assert.deepStrictEqual(decodeJob(encodeJob(job)), job)
  })
})

describe("a lane in PostgreSQL", () => {
  const lane = { environment: Environment, subcloud: Schema.String, model: Schema.String, priority: Priority }

  it.effect.prop("comes back as it was, when its names hold anything", lane, (lane) =>
    Effect.sync(() => {
      assert.deepStrictEqual(decodeLane(encodeLane(lane)), lane)
      const { priority, ...rest } = lane
      assert.strictEqual(encodeLane({ priority, ...rest }), encodeLane(lane), "whatever the order of its parts")
    })
  )
})

describe("a batch for PostgreSQL", () => {
  it("gives the items about one job a round each, in their order, and all others the first", () => {
    assert.deepStrictEqual(roundsOf(["a", "b", "a", "c", "a", "b"]), [1, 1, 2, 1, 3, 2])
  })
})

describe("an error of PostgreSQL", () => {
  const told = (code: string) =>
    new SqlError({ reason: new UnknownError({ cause: Object.assign(new Error("told"), { code }) }) })

  it("is an Outage when it tells of the server and not of the statement", () => {
    for (const code of ["08006", "40P01", "53100", "53300", "55P03", "57014", "57P01", "58030", "XX001", "25006"]) {
      assert.isTrue(isOutage(told(code)), code)
    }
    for (const code of ["22021", "23505", "42601", "42501", "42P01", "0A000"])
      assert.isFalse(isOutage(told(code)), code)
    assert.isTrue(isOutage(new SqlError({ reason: new ConnectionError({ cause: new Error("gone") }) })))
  })

  it("is tried again only when two transactions collided, and taken apart only when a value is at fault", () => {
    assert.deepStrictEqual(
      ["40001", "40P01", "57014", "23505"].map((code) => isConflict(told(code))),
      [true, true, false, false]
    )
    assert.deepStrictEqual(
      ["22021", "23514", "54000", "42601", "57P01"].map((code) => isDataError(told(code))),
      [true, true, true, false, false]
    )
  })
})
