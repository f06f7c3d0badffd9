import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { World } from "../../support/World.ts"
import { aRequest } from "../../support/worldFactories.ts"

describe("a job that crashes its actor", () => {
  it.effect("ends as poison with its credits back, also when writing its end is what crashes", () =>
    Effect.gen(function* () {
      const world = yield* World.make()
      const daemon = yield* world.daemon()
      yield* world.agent(daemon, { orders: "answer" })
      const caller = yield* world.caller(daemon)
      daemon.faults.breakDown("JobRecords.patch")
      const { job } = yield* world.submit(daemon, caller, aRequest())
      yield* world.until("over", () => world.isOver(job.id), 120_000)

      const { state, errorCode, charged } = world.row(job.id)
      assert.deepStrictEqual({ state, errorCode, charged }, { state: "failed", errorCode: "poison", charged: 0n })
      const { reserved, spent } = yield* daemon.use(
        Effect.flatMap(CreditLedger, ({ balance }) => balance(job.namespaceId))
      )
      assert.deepStrictEqual([reserved, spent], [0n, 0n])
    })
  )
})
