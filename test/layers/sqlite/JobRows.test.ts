/** The hand-written mapping of job facts, held to the Schema that it replaces. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { describe } from "vitest"
import { decodeJob, encodeJob } from "../../../src/layers/JobText.ts"
import { decodeLane, encodeLane } from "../../../src/layers/sqlite/JobRows.ts"
import { CREDITS_MAX, Credits } from "../../../src/schemas/Credits.ts"
import { Environment, Job, Priority } from "../../../src/schemas/Job.ts"
import { jobOf } from "./StateSamples.ts"

const wire = Schema.fromJsonString(Schema.toCodecJson(Job))
const encodeWire = Schema.encodeSync(wire)
const decodeWire = Schema.decodeSync(wire)

describe("the facts of a job", () => {
  it.effect.prop(
    "come back as they were, and as the Schema reads them, when they were stored",
    { job: Job },
    ({ job }) =>
      Effect.sync(() => {
        const exact = normal(job)
        assert.deepStrictEqual(decodeJob(encodeJob(exact)), exact)
        assert.deepStrictEqual(decodeWire(encodeJob(exact)), exact)
        assert.deepStrictEqual(decodeJob(encodeWire(exact)), exact)
      })
  )

  it("keep the largest amount to the last unit, when they are stored", () => {
    const job = jobOf("a", { reserved: Credits.make(CREDITS_MAX) })
    assert.strictEqual(decodeJob(encodeJob(job)).reserved, CREDITS_MAX)
  })
})

describe("a lane", () => {
  const lane = { environment: Environment, subcloud: Schema.String, model: Schema.String, priority: Priority }

  it.effect.prop("comes back as it was, when its names hold anything", lane, (lane) =>
    Effect.sync(() => assert.deepStrictEqual(decodeLane(encodeLane(lane)), lane))
  )
})

/** Without -0, which no integer column and no JSON keeps apart from 0. */
const normal = (job: Job): Job => ({
  ...job,
  acceptedAt: job.acceptedAt + 0,
  deadlineAt: job.deadlineAt + 0,
  outputTokensMax: job.outputTokensMax + 0,
  promptTokensMax: job.promptTokensMax + 0,
  choices: job.choices + 0,
  failuresMax: job.failuresMax + 0,
  quote: { ...job.quote, version: job.quote.version + 0 },
  constraints:
    job.constraints.vramMinMiB === undefined
      ? job.constraints
      : { ...job.constraints, vramMinMiB: job.constraints.vramMinMiB + 0 }
})
