/**
 * What is made of the answer of `nvidia-smi`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { gpus, gpusIn } from "../../src/agent/Gpus.ts"

describe("the cards", () => {
  it("are read from the answer, and lines that make no sense are left out", () => {
    const answer = "NVIDIA GeForce RTX 4090, 24564, 1024, 37\nNVIDIA A2, 15356, [N/A], [N/A]\n\nFailed to initialize\n"
    assert.deepStrictEqual(gpusIn(answer), [
      { name: "NVIDIA GeForce RTX 4090", vramMiB: 24_564, usedMiB: 1024, utilisation: 0.37 },
      { name: "NVIDIA A2", vramMiB: 15_356 }
    ])
  })

  it.live("are a list on every machine, with the tool or without", () =>
    Effect.gen(function* () {
      assert.isArray(yield* gpus)
    })
  )
})
