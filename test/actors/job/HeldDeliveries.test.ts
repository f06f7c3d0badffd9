/** Which delivery a job's actor holds, and what becomes of the others. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HeldDeliveries, type Hold } from "../../../src/actors/job/HeldDeliveries.ts"
import type { Delivery } from "../../../src/layers/Transport.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"

const JOB = "job_01kdvdne18ftd1x8rn6aamxx2f" as JobId

const world = () => {
  const actors = new Set<JobId>()
  const deliveries = new HeldDeliveries((jobId) => actors.has(jobId))
  let hold: Hold | undefined
  const told: Array<string> = []
  const deliver = (name: string) => {
    const word = (what: string) => Effect.sync(() => void told.push(`${name} ${what}`))
    const delivery = { ack: word("acknowledged"), nack: word("given back") } as Delivery
    return deliveries.start(JOB, delivery, (mine) =>
      Effect.sync(() => {
        if (actors.has(JOB)) return "there"
        actors.add(JOB)
        hold = mine
        return "started"
      })
    )
  }
  return { deliver, told, gone: () => actors.delete(JOB), hold: () => hold! }
}

describe("HeldDeliveries", () => {
  it.effect("holds a waiting job by its newest delivery", () =>
    Effect.gen(function* () {
      const { deliver, told, hold } = world()
      yield* deliver("first")
      assert.isFalse(hold().isRenewed)
      assert.strictEqual(yield* deliver("second"), "there")
      assert.deepStrictEqual(told, ["first acknowledged"])
      assert.isTrue(hold().isRenewed)
      yield* hold().nack
      assert.deepStrictEqual(told, ["first acknowledged", "second given back"])
    })
  )

  it.effect("is done with what comes for a job that was claimed", () =>
    Effect.gen(function* () {
      const { deliver, told, hold } = world()
      yield* deliver("first")
      yield* hold().ack
      yield* deliver("second")
      assert.deepStrictEqual(told, ["first acknowledged", "second acknowledged"])
    })
  )

  it.effect(
    "gives back what comes while an actor that gave its own back is on its way out, and starts another one afterwards",
    () =>
      Effect.gen(function* () {
        const { deliver, told, hold, gone } = world()
        yield* deliver("first")
        yield* hold().nack
        yield* deliver("second")
        assert.deepStrictEqual(told, ["first given back", "second given back"])
        gone()
        assert.strictEqual(yield* deliver("third"), "started")
        yield* hold().ack
        yield* deliver("fourth")
        assert.deepStrictEqual(told.slice(2), ["third acknowledged", "fourth acknowledged"])
      })
  )
})
