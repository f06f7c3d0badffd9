/** What every StateRows must do: give back what was put in, in order and of one instant, take all or nothing, and know every table it holds. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { StateRows } from "../../../src/layers/StateRows.ts"
import {
  compareKeys,
  keyOf,
  NOT_STATE,
  STATE,
  type StateRow,
  type StateTable
} from "../../../src/schemas/StateTable.ts"
import { aState, fillingsOf, rowsOf, type StateSample, stateTableNamed } from "../../support/stateFactories.ts"

export interface StateRowsCapabilities<R> {
  /** One more audit row, as any writer would put it there. */
  readonly append?: (seq: number) => Effect.Effect<void, unknown, R>
}

const sorted = (table: StateTable, rows: ReadonlyArray<StateRow>) =>
  rows.toSorted((one, other) => compareKeys(keyOf(table, one), keyOf(table, other)))

const fill = (sample: StateSample) =>
  Effect.flatMap(StateRows, ({ fill }) => fill(Stream.fromIterable(fillingsOf(sample))))

const all = (table: StateTable) =>
  Effect.flatMap(StateRows, ({ view }) =>
    view(({ rows }) => Effect.map(Stream.runCollect(rows(table)), (batches) => batches.flat()))
  )

const tested = <A, E, R>(effect: Effect.Effect<A, E, R>, over: Layer.Layer<R, unknown>) =>
  Effect.provide(effect, over, { local: true })

/** `empty` is a store of its own each time that it is built. */
export const stateRowsContract = <R>(
  backEnd: string,
  empty: () => Layer.Layer<StateRows | R, unknown>,
  { append }: StateRowsCapabilities<R> = {}
) => {
  it.live(`StateRows on ${backEnd} gives back every row that was put in, by key`, () =>
    tested(
      Effect.gen(function* () {
        const sample = aState({ namespaces: 9, jobs: 1300 })
        const written = yield* fill(sample)
        assert.strictEqual(
          written,
          [...sample.values()].reduce((sum, rows) => sum + rows.length, 0)
        )
        for (const table of STATE) assert.deepStrictEqual(yield* all(table), sorted(table, rowsOf(sample, table)))
      }),
      empty()
    )
  )

  it.live(`StateRows on ${backEnd} fills nothing that is not empty, and then changes nothing`, () =>
    tested(
      Effect.gen(function* () {
        const [first, second] = [aState({ namespaces: 2, jobs: 3 }), aState({ namespaces: 2, jobs: 3, seed: 2 })]
        yield* fill(first)
        const refusal = yield* Effect.flip(fill(second))
        assert.deepInclude({ ...refusal }, { _tag: "Refusal", code: "conflict" })
        assert.include(String((refusal as Error).message), "not empty")
        const job = stateTableNamed("job")
        assert.deepStrictEqual(yield* all(job), sorted(job, rowsOf(first, job)))
      }),
      empty()
    )
  )

  it.live(`StateRows on ${backEnd} leaves nothing of a fill that breaks off`, () =>
    tested(
      Effect.gen(function* () {
        const { fill } = yield* StateRows
        const sample = aState({ namespaces: 2, jobs: 3 })
        const before = yield* Effect.forEach(STATE, all)
        for (const [at, { name, seeded }] of STATE.entries()) if (!seeded) assert.deepStrictEqual(before[at], [], name)
        const broken = Stream.concat(
          Stream.fromIterable(fillingsOf(sample)),
          Stream.fail("the blocks end here" as const)
        )
        assert.strictEqual(yield* Effect.flip(fill(broken)), "the blocks end here")
        assert.deepStrictEqual(yield* Effect.forEach(STATE, all), before)
        assert.isAbove(yield* fill(Stream.fromIterable(fillingsOf(sample))), 0)
      }),
      empty()
    )
  )

  it.live(`StateRows on ${backEnd} has one view at a time`, () =>
    tested(
      Effect.gen(function* () {
        const { view } = yield* StateRows
        const opened = yield* Deferred.make<void>()
        const held = view(() => Effect.andThen(Deferred.succeed(opened, undefined), Effect.never))
        const fiber = yield* Effect.forkChild(held, { startImmediately: true })
        yield* Deferred.await(opened)
        const refusal = yield* Effect.flip(view(() => Effect.void))
        assert.deepInclude({ ...refusal }, { _tag: "Refusal", code: "conflict" })
        yield* Fiber.interrupt(fiber)
        yield* view(() => Effect.void)
      }),
      empty()
    )
  )

  it.live(`S7: every table of ${backEnd} has a rule, and every column of those that are state`, () =>
    tested(
      Effect.gen(function* () {
        const stored = yield* (yield* StateRows).tables
        for (const { name, columns } of stored) {
          const table = STATE.find((one) => one.name === name)
          if (table === undefined) {
            assert.property(NOT_STATE, name, `no rule says whether a snapshot holds the table ${name}`)
            continue
          }
          const known = new Set([...table.columns.map((column) => column.name), ...Object.keys(table.passing)])
          assert.deepStrictEqual(
            columns.filter((column) => !known.has(column)),
            [],
            `columns of ${name} without a rule`
          )
        }
        for (const { name } of STATE)
          assert.isTrue(
            stored.some((one) => one.name === name),
            `${name} is not there`
          )
      }),
      empty()
    )
  )

  if (append === undefined) return
  it.live(`StateRows on ${backEnd} sees one instant, whatever is written meanwhile (D262)`, () =>
    tested(
      Effect.gen(function* () {
        yield* fill(aState({ namespaces: 2, jobs: 2 }))
        const { view } = yield* StateRows
        const audit = stateTableNamed("audit")
        const seen = yield* view(({ rows }) =>
          Effect.gen(function* () {
            yield* append(21)
            const before = (yield* Stream.runCollect(rows(audit))).flat().length
            yield* append(22)
            return [before, (yield* Stream.runCollect(rows(audit))).flat().length]
          })
        )
        assert.deepStrictEqual(seen, [20, 20])
        assert.strictEqual((yield* all(audit)).length, 22)
      }),
      empty()
    )
  )
}
