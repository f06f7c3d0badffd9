/** What every JobSearch must do: find and count as a look at every document would, page without gap or repeat, and keep namespaces apart. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import { JobRecords, type Scope } from "../../../src/layers/JobRecords.ts"
import { type Cursor, type JobFilter, JobSearch, type UsageQuery } from "../../../src/layers/JobSearch.ts"
import { Credits, CREDITS_MAX } from "../../../src/schemas/Credits.ts"
import { Endpoint, Mode } from "../../../src/schemas/Job.ts"
import type { JobRecord } from "../../../src/schemas/JobRecord.ts"
import { JobState } from "../../../src/schemas/JobState.ts"
import {
  aChange,
  anOutput,
  aRecord,
  DAY,
  freshKey,
  freshNamespace,
  freshNode,
  freshTime,
  only,
  operator
} from "../../support/recordFactories.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const Text = Schema.Literals(["a", "b", "\u0000\ud800"])

const Draft = Schema.Struct({
  namespace: between(0, 1),
  key: between(0, 1),
  node: between(0, 2),
  model: Text,
  tag: Schema.NullOr(Text),
  code: Schema.NullOr(Text),
  endpoint: Endpoint,
  mode: Mode,
  state: JobState,
  at: between(0, 5),
  tokens: between(0, 1000),
  totalMs: Schema.NullOr(between(0, 50)),
  cost: Schema.NullOr(Schema.Literals([0n, 1n, 7_000_000_001n, 2n ** 56n + 1n]))
})

const Asked = Schema.Struct({
  scope: between(0, 2),
  key: Schema.optionalKey(between(0, 1)),
  node: Schema.optionalKey(between(1, 2)),
  model: Schema.optionalKey(Text),
  clientTag: Schema.optionalKey(Text),
  errorCode: Schema.optionalKey(Text),
  endpoint: Schema.optionalKey(Endpoint),
  mode: Schema.optionalKey(Mode),
  state: Schema.optionalKey(JobState),
  from: Schema.optionalKey(between(0, 5)),
  to: Schema.optionalKey(between(0, 6)),
  limit: between(1, 8)
})

/** Two namespaces, with keys and nodes, and documents among them in a stretch of six hours that spans two days. */
const world = Effect.fnUntraced(function* (drafts: ReadonlyArray<typeof Draft.Type>) {
  const records = yield* JobRecords
  const start = freshTime() + DAY - 3 * HOUR
  const namespaces = [freshNamespace(), freshNamespace()]
  const keys = [freshKey(), freshKey()]
  const nodes = [null, freshNode(), freshNode()]
  const all = drafts.map((draft): JobRecord => {
    const blank = aRecord()
    return {
      ...blank,
      namespaceId: namespaces[draft.namespace]!,
      keyId: keys[draft.key]!,
      clientTag: draft.tag,
      errorCode: draft.code,
      state: draft.state,
      createdAt: start + draft.at * HOUR,
      input: { ...blank.input, model: draft.model, endpoint: draft.endpoint, mode: draft.mode },
      routing: { ...blank.routing, nodeId: nodes[draft.node]! },
      output: draft.tokens === 0 ? null : anOutput(draft.tokens, draft.tokens * 2),
      system: { ...blank.system, totalMs: draft.totalMs },
      cost: draft.cost === null ? null : Credits.make(draft.cost)
    }
  })
  yield* Effect.forEach(all, (record) => records.open(record), { concurrency: 16 })
  const scopes: ReadonlyArray<Scope> = [operator, only(namespaces[0]!), only(namespaces[1]!)]
  return { start, end: start + 6 * HOUR, namespaces, keys, nodes, all, scopes }
})
const HOUR = 3_600_000

const inScope = (scope: Scope) => (record: JobRecord) =>
  scope._tag === "Operator" || scope.namespaceId === record.namespaceId

const answers = (filter: JobFilter) => (record: JobRecord) =>
  (filter.model === undefined || record.input.model === filter.model) &&
  (filter.endpoint === undefined || record.input.endpoint === filter.endpoint) &&
  (filter.mode === undefined || record.input.mode === filter.mode) &&
  (filter.state === undefined || record.state === filter.state) &&
  (filter.clientTag === undefined || record.clientTag === filter.clientTag) &&
  (filter.keyId === undefined || record.keyId === filter.keyId) &&
  (filter.nodeId === undefined || record.routing.nodeId === filter.nodeId) &&
  (filter.errorCode === undefined || record.errorCode === filter.errorCode) &&
  (filter.from === undefined || record.createdAt >= filter.from) &&
  (filter.to === undefined || record.createdAt < filter.to)

const newestFirst = (a: Cursor, b: Cursor) => b.createdAt - a.createdAt || (a.jobId < b.jobId ? 1 : -1)

/** The smallest time that at least this share of the times does not exceed, by counting. */
const percentile = (times: ReadonlyArray<number>, percent: number) =>
  times
    .toSorted((a, b) => a - b)
    .find((time) => times.filter((other) => other <= time).length * 100 >= percent * times.length) ?? null

const usageFold = (all: ReadonlyArray<JobRecord>, { groupBy, from, to }: UsageQuery) => {
  const groupOf = ({ input, keyId, createdAt }: JobRecord) =>
    ({ model: input.model, key: keyId, day: new Date(createdAt).toISOString().slice(0, 10) })[groupBy]
  const groups = new Map<string, Array<JobRecord>>()
  for (const record of all.filter(answers({ from, to }))) {
    groups.set(groupOf(record), [...(groups.get(groupOf(record)) ?? []), record])
  }
  return [...groups]
    .map(([group, jobs]) => {
      const times = jobs.flatMap(({ state, system }) =>
        state === "completed" && system.totalMs !== null ? [system.totalMs] : []
      )
      return {
        group,
        jobs: jobs.length,
        failed: jobs.filter(({ state }) => ["failed", "timed_out", "expired"].includes(state)).length,
        promptTokens: jobs.reduce((sum, { output }) => sum + (output?.tokens.prompt ?? 0), 0),
        outputTokens: jobs.reduce((sum, { output }) => sum + (output?.tokens.completion ?? 0), 0),
        cost: jobs.reduce((sum, { cost }) => sum + (cost ?? 0n), 0n),
        totalMsP50: percentile(times, 50),
        totalMsP95: percentile(times, 95)
      }
    })
    .toSorted((a, b) => (a.group < b.group ? -1 : 1))
}

export const jobSearchContract = (backEnd: string, layer: Layer.Layer<JobRecords | JobSearch, unknown>) =>
  it.layer(layer)(`JobSearch on ${backEnd}`, (it) => {
    it.effect("sums a document up", () =>
      Effect.gen(function* () {
        const record = aRecord({ clientTag: "t", errorCode: "e", finishedAt: 9, cost: Credits.make(CREDITS_MAX) })
        const { routing, system } = record
        const nodeId = freshNode()
        yield* (yield* JobRecords).open(record)
        yield* (yield* JobRecords).patch(
          aChange(
            record.jobId,
            {
              routing: { ...routing, nodeId },
              system: { ...system, totalMs: 70 },
              output: anOutput(5, 6),
              state: "completed"
            },
            true
          )
        )

        const found = yield* (yield* JobSearch).search(only(record.namespaceId), {}, null, 10)

        assert.deepStrictEqual(found, [
          {
            jobId: record.jobId,
            namespaceId: record.namespaceId,
            keyId: record.keyId,
            endpoint: "chat",
            mode: "sync",
            model: "tiny",
            priority: "normal",
            state: "completed",
            errorCode: "e",
            nodeId,
            clientTag: "t",
            createdAt: record.createdAt,
            finishedAt: 9,
            promptTokens: 5,
            outputTokens: 6,
            cost: Credits.make(CREDITS_MAX),
            totalMs: 70
          }
        ])
      })
    )

    it.effect.prop(
      "finds by any filters what a look at every document finds",
      { drafts: Arbitrary.array(Arbitrary.schema(Draft), { maxLength: 16 }), asked: Asked },
      ({ drafts, asked }) =>
        Effect.gen(function* () {
          const { start, end, keys, nodes, all, scopes } = yield* world(drafts)
          const { scope, key, node, from, to, limit, ...rest } = asked
          const filter: JobFilter = {
            ...rest,
            from: start + (from ?? 0) * HOUR,
            to: to === undefined ? end : start + to * HOUR,
            ...(key === undefined ? {} : { keyId: keys[key]! }),
            ...(node === undefined ? {} : { nodeId: nodes[node]! })
          }
          const found = yield* (yield* JobSearch).search(scopes[scope]!, filter, null, limit)

          const expected = all.filter(inScope(scopes[scope]!)).filter(answers(filter)).toSorted(newestFirst)
          assert.deepStrictEqual(
            found.map(({ jobId }) => jobId),
            expected.slice(0, limit).map(({ jobId }) => jobId)
          )
        }),
      { arbitrary: { runs: 200 } }
    )

    it.effect.prop(
      "pages through every document once and in order while others arrive",
      {
        drafts: Arbitrary.array(Arbitrary.schema(Draft), { minLength: 1, maxLength: 20 }),
        arriving: Arbitrary.array(Arbitrary.schema(between(-3, 9)), { maxLength: 20 }),
        limit: between(1, 4),
        scope: between(0, 2),
        mode: Schema.NullOr(Mode)
      },
      ({ drafts, arriving, limit, scope, mode }) =>
        Effect.gen(function* () {
          const search = yield* JobSearch
          const { start, end, namespaces, all, scopes } = yield* world(drafts)
          const filter: JobFilter = { from: start - DAY, to: end + DAY, ...(mode === null ? {} : { mode }) }
          const seen: Array<Cursor> = []
          const arrivals = arriving.values()
          let page: ReadonlyArray<Cursor> = []
          do {
            page = yield* search.search(scopes[scope]!, filter, seen.at(-1) ?? null, limit)
            seen.push(...page)
            const at = arrivals.next().value
            if (at !== undefined) {
              yield* (yield* JobRecords).open(aRecord({ namespaceId: namespaces[0]!, createdAt: start + at * HOUR }))
            }
          } while (page.length > 0)

          assert.deepStrictEqual(seen, seen.toSorted(newestFirst))
          assert.strictEqual(new Set(seen.map(({ jobId }) => jobId)).size, seen.length)
          const before = new Set(all.map(({ jobId }) => jobId))
          assert.deepStrictEqual(
            seen.map(({ jobId }) => jobId).filter((jobId) => before.has(jobId)),
            all
              .filter(inScope(scopes[scope]!))
              .filter(answers(filter))
              .toSorted(newestFirst)
              .map(({ jobId }) => jobId)
          )
        })
    )

    it.effect.prop(
      "counts what a brute-force fold of the documents counts",
      {
        drafts: Arbitrary.array(Arbitrary.schema(Draft), { maxLength: 40 }),
        groupBy: Schema.Literals(["model", "key", "day"]),
        from: between(0, 3),
        to: between(2, 6),
        scope: between(0, 2)
      },
      ({ drafts, groupBy, from, to, scope }) =>
        Effect.gen(function* () {
          const { start, all, scopes } = yield* world(drafts)
          const query: UsageQuery = { groupBy, from: start + from * HOUR, to: start + to * HOUR }

          const usage = yield* (yield* JobSearch).usage(scopes[scope]!, query)

          assert.deepStrictEqual<unknown>(usage, usageFold(all.filter(inScope(scopes[scope]!)), query))
        }),
      { arbitrary: { runs: 200 } }
    )

    it.effect("finds a document by what it says after each patch, and no longer by what it said", () =>
      Effect.gen(function* () {
        const record = aRecord({ state: "queued" })
        const [first, second] = [freshNode(), freshNode()]
        const records = yield* JobRecords
        yield* records.open(record)
        const count = (filter: JobFilter) =>
          Effect.map(
            Effect.flatMap(JobSearch, (search) => search.search(only(record.namespaceId), filter, null, 5)),
            (found) => found.length
          )

        yield* records.patch(
          aChange(record.jobId, { state: "active", routing: { ...record.routing, nodeId: first } }, false)
        )
        yield* records.patch(aChange(record.jobId, { routing: { ...record.routing, nodeId: second } }, false))

        assert.strictEqual(yield* count({ state: "queued" }), 0)
        assert.strictEqual(yield* count({ state: "active" }), 1)
        assert.strictEqual(yield* count({ nodeId: first }), 0)
        assert.strictEqual(yield* count({ nodeId: second, state: "active" }), 1)
      })
    )
  })
