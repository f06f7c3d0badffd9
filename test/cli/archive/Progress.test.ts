/** The one line that a person sees of a long run, and that nobody else does. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Writable } from "node:stream"
import { lineOf, progress, size } from "../../../src/cli/archive/Progress.ts"
import { Output } from "../../../src/cli/Output.ts"

const running = (isTTY: boolean) =>
  Effect.gen(function* () {
    const written: Array<string> = []
    const stream = () =>
      Object.assign(
        new Writable({
          write: (chunk: Buffer, _, done) => {
            written.push(chunk.toString())
            done()
          }
        }),
        { isTTY }
      )
    yield* Effect.gen(function* () {
      const { through, end } = yield* progress(4)
      const { note, write } = yield* Output
      yield* through(500)
      yield* TestClock.adjust("1 second")
      yield* through(500)
      yield* note("one is broken")
      yield* TestClock.adjust("1 second")
      yield* through(3000)
      yield* write("done\n")
      yield* end
    }).pipe(Effect.provide(Output.layer(stream(), stream())))
    return written.join("")
  })

it.effect("a long run says how far it is, over and over on one line, and leaves nothing of it behind", () =>
  Effect.gen(function* () {
    const wipe = "\r\u001b[K"
    assert.strictEqual(
      yield* running(true),
      [
        `${wipe}2 of 4 segments, 1.0 kB, 1.0 kB/s, 1 s left`,
        `${wipe}one is broken\n`,
        `${wipe}3 of 4 segments, 4.0 kB, 2.0 kB/s, 1 s left`,
        `${wipe}done\n`
      ].join("")
    )
  })
)

it.effect("a run whose remarks go into a file says nothing of how far it is", () =>
  Effect.gen(function* () {
    assert.strictEqual(yield* running(false), "one is broken\ndone\n")
  })
)

it("sizes and spans are as long as a person wants them", () => {
  assert.deepStrictEqual([0, 999, 1000, 1_250_000, 3e12].map(size), ["0 B", "999 B", "1.0 kB", "1.3 MB", "3.0 TB"])
  const of = (ms: number) => lineOf({ done: 1, total: 2, bytes: 1, ms }).replace(/^.*, /, "")
  assert.deepStrictEqual([500, 119_000, 121_000, 7_300_000].map(of), [
    "1 s left",
    "119 s left",
    "3 min left",
    "3 h left"
  ])
})
