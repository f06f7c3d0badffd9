/** What every JobSearch must do: find and count as a look at every document would, page without gap or repeat, and keep namespaces apart. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import {
  type Cursor,
  type JobFilter,
  JobSearch,
  type JobSummary,
  LOOKED_MAX,
  type StatsQuery
} from "../../../src/layers/JobSearch.ts"
import { GROUPINGS } from "../../../src/layers/JobTally.ts"
import { Credits, CREDITS_MAX } from "../../../src/schemas/Credits.ts"
import { Mode } from "../../../src/schemas/Job.ts"
import type { JobRecord } from "../../../src/schemas/JobRecord.ts"
import {
  aChange,
  anOutput,
  aRecord,
  DAY,
  freshNamespace,
  freshNode,
  freshTime,
  only
} from "../../support/recordFactories.ts"
import {
  answers,
  Asked,
  between,
  Draft,
  HOUR,
  inOneOrder,
  inScope,
  newestFirst,
  saying,
  statsFold,
  world
} from "./SearchWorld.ts"

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
              system: { ...system, queueMs: 3, firstTokenMs: 9, totalMs: 70 },
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
            queueMs: 3,
            firstTokenMs: 9,
            totalMs: 70
          }
        ])
      })
    )

    it.effect.prop(
      "S2, S38, S73, S74, S75, S76: finds by any filters what a look at every document finds",
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
      "S75: pages through every document once and in order while others arrive",
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
      "finds by a word of prompt or answer what a look at every document of the namespace finds, over all pages",
      {
        drafts: Arbitrary.array(Arbitrary.schema(Draft), { maxLength: 30 }),
        word: Schema.Literals([
          "plum",
          "LUM",
          "STRASSE",
          "Straße",
          "σοφος",
          "Σ",
          '"B"',
          'b"\n',
          "role",
          "nothing",
          "user"
        ]),
        mode: Schema.optionalKey(Mode),
        limit: between(1, 4)
      },
      ({ drafts, word, limit, ...filter }) =>
        Effect.gen(function* () {
          const search = yield* JobSearch
          const { namespaces, all } = yield* world(drafts)
          const [mine] = namespaces
          const seen: Array<Cursor> = []
          let next: Cursor | null = null
          do {
            const page: { found: ReadonlyArray<Cursor>; next: Cursor | null } = yield* search.searchText(
              mine!,
              filter,
              word,
              next,
              limit
            )
            seen.push(...page.found)
            next = page.next
          } while (next !== null)

          const plain = (text: string) => text.toLowerCase().replaceAll("ς", "σ")
          const says = ({ input, output }: JobRecord) => {
            const request = input.request as { readonly messages: ReadonlyArray<{ readonly content: string }> } | null
            const texts = [request?.messages[0]?.content ?? "", output?.choices[0]?.text ?? ""]
            return texts.some((text) => plain(text).includes(plain(word)))
          }
          assert.deepStrictEqual(
            seen.map(({ jobId }) => jobId),
            all
              .filter(({ namespaceId }) => namespaceId === mine)
              .filter(answers(filter))
              .filter(says)
              .toSorted(newestFirst)
              .map(({ jobId }) => jobId)
          )
        }),
      { arbitrary: { runs: 100 } }
    )

    it.effect(
      "looks through a bounded number of jobs for a word, says where to go on, and counts every one of them",
      () =>
        Effect.gen(function* () {
          const { searchText, stats } = yield* JobSearch
          const namespaceId = freshNamespace()
          const [oldest, ...others] = Array.from({ length: LOOKED_MAX + 1 }, (_, at) =>
            aRecord({ namespaceId, createdAt: 1_000 + at })
          )
          const told: JobRecord = {
            ...oldest!,
            input: { ...oldest!.input, request: { prompt: ["", "a needle in there"] } }
          }
          yield* Effect.forEach([told, ...others], (record) => Effect.flatMap(JobRecords, ({ open }) => open(record)), {
            concurrency: 256,
            discard: true
          })

          const first = yield* searchText(namespaceId, {}, "NEEDLE", null, 5)
          assert.deepStrictEqual(first.found, [])
          const second = yield* searchText(namespaceId, {}, "NEEDLE", first.next, 5)

          assert.deepStrictEqual(
            second.found.map(({ jobId }) => jobId),
            [told.jobId]
          )
          assert.isNull(second.next)
          const sums = yield* stats(only(namespaceId), { groupBy: ["namespace"], from: 0, to: DAY })
          assert.deepStrictEqual(
            sums.map(({ jobs }) => jobs),
            [LOOKED_MAX + 1]
          )
        })
    )

    it.effect.prop(
      "S58, S77: counts by any groups what a brute-force fold of the documents counts",
      {
        drafts: Arbitrary.array(Arbitrary.schema(Draft), { maxLength: 40 }),
        groupBy: Schema.Literals(GROUPINGS),
        also: Schema.NullOr(Schema.Literals(GROUPINGS)),
        from: between(0, 3),
        to: between(2, 6),
        scope: between(0, 2)
      },
      ({ drafts, groupBy, also, from, to, scope }) =>
        Effect.gen(function* () {
          const { start, all, scopes } = yield* world(drafts)
          const query: StatsQuery = {
            groupBy: also === null || also === groupBy ? [groupBy] : [groupBy, also],
            from: start + from * HOUR,
            to: start + to * HOUR
          }

          const stats = yield* (yield* JobSearch).stats(scopes[scope]!, query)

          assert.deepStrictEqual<unknown>(
            inOneOrder(stats),
            inOneOrder(statsFold(all.filter(inScope(scopes[scope]!)), query))
          )
        }),
      { arbitrary: { runs: 200 } }
    )

    it.effect("S58: jobs by model and day have count, tokens, failures, cost and times; usage says it in short", () =>
      Effect.gen(function* () {
        const { open } = yield* JobRecords
        const { stats, usage } = yield* JobSearch
        const namespaceId = freshNamespace()
        const at = Date.UTC(2026, 5, 1, 23)
        const blank = aRecord()
        for (const [state, createdAt, ms] of [
          ["completed", at, 10],
          ["completed", at + 1, 30],
          ["failed", at + 2, 999],
          ["completed", at + 2 * HOUR, 7]
        ] as const) {
          yield* open({
            ...aRecord({ namespaceId, state, createdAt, cost: Credits.make(5n), output: saying("x", 2) }),
            system: { ...blank.system, queueMs: 1, firstTokenMs: 4, totalMs: ms }
          })
        }
        const even = (ms: number) => ({ p50: ms, p95: ms, p99: ms })
        const range = { from: at - HOUR, to: at + DAY }

        assert.deepStrictEqual(yield* stats(only(namespaceId), { groupBy: ["model", "day"], ...range }), [
          {
            groups: ["tiny", "2026-06-01"],
            jobs: 3,
            completed: 2,
            failed: 1,
            promptTokens: 6,
            outputTokens: 12,
            cost: Credits.make(15n),
            queueMs: even(1),
            firstTokenMs: even(4),
            totalMs: { p50: 10, p95: 30, p99: 30 }
          },
          {
            groups: ["tiny", "2026-06-02"],
            jobs: 1,
            completed: 1,
            failed: 0,
            promptTokens: 2,
            outputTokens: 4,
            cost: Credits.make(5n),
            queueMs: even(1),
            firstTokenMs: even(4),
            totalMs: even(7)
          }
        ])
        assert.deepStrictEqual(yield* usage(only(namespaceId), { groupBy: "model", ...range }), [
          {
            group: "tiny",
            jobs: 4,
            failed: 1,
            promptTokens: 8,
            outputTokens: 16,
            cost: Credits.make(20n),
            totalMsP50: 10,
            totalMsP95: 30
          }
        ])
      })
    )

    it.effect.prop(
      "S79: goes through finished jobs in the order of their ends, each once, from any place on",
      {
        ends: Arbitrary.array(Arbitrary.schema(Schema.NullOr(between(0, 4))), { maxLength: 20 }),
        before: between(1, 6),
        limit: between(1, 4)
      },
      ({ ends, before, limit }) =>
        Effect.gen(function* () {
          const { finished } = yield* JobSearch
          const start = freshTime()
          const all = ends.map((end) => aRecord({ finishedAt: end === null ? null : start + end }))
          yield* Effect.forEach(all, (record) => Effect.flatMap(JobRecords, ({ open }) => open(record)))
          const seen: Array<{ readonly at: number; readonly id: string }> = []
          let page: ReadonlyArray<JobSummary> = []
          do {
            page = yield* finished(seen.at(-1) ?? { at: start - 1, id: "z" }, start + before, limit)
            seen.push(...page.map(({ finishedAt, jobId }) => ({ at: finishedAt!, id: jobId })))
          } while (page.length > 0)

          assert.deepStrictEqual(
            seen,
            all
              .flatMap(({ finishedAt, jobId }) =>
                finishedAt === null ? [] : [{ at: finishedAt, id: jobId as string }]
              )
              .filter(({ at }) => at < start + before)
              .toSorted((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
          )
        }),
      { arbitrary: { runs: 50 } }
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
