import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { endWaiting } from "../../src/actors/EndWaiting.ts"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import { JobStore } from "../../src/layers/JobStore.ts"
import { World } from "../support/World.ts"
import { aRequest } from "../support/worldFactories.ts"

it.effect("Who ends a waiting job too late, and dies before he hears of it, leaves its record as it is", () =>
  Effect.gen(function* () {
    const world = yield* World.make()
    const daemon = yield* world.daemon()
    yield* world.agent(daemon, { orders: "hold", profile: { slots: 1 } })
    const caller = yield* world.caller(daemon)
    yield* world.submit(daemon, caller, aRequest())
    const { job } = yield* world.submit(daemon, caller, aRequest())
    const seen = world.row(job.id)
    assert.strictEqual(seen.state, "queued")
    const end = (state: "cancelled" | "expired", code: string) =>
      daemon.use(
        Effect.gen(function* () {
          const house = { records: yield* JobRecords, store: yield* JobStore }
          return yield* Effect.result(endWaiting(house, seen, { state, code }))
        })
      )
    yield* end("cancelled", "client")
    daemon.faults.fail("JobStore.finish")
    const late = yield* end("expired", "deadline")
    assert.strictEqual(late._tag, "Failure")
    const { state, errorCode } = world.record(job.id)
    assert.deepStrictEqual([world.row(job.id).state, state, errorCode], ["cancelled", "cancelled", "client"])
  })
)
