/** Jobs of two namespaces drawn at random, and what a look at every one of them finds and counts: what the laws of JobSearch compare with. */
import { Effect, Schema } from "effect"
import { JobRecords, type Scope } from "../../../src/layers/JobRecords.ts"
import type { Cursor, JobFilter, StatsQuery } from "../../../src/layers/JobSearch.ts"
import type { Grouping } from "../../../src/layers/JobTally.ts"
import { Credits } from "../../../src/schemas/Credits.ts"
import { Endpoint, Mode } from "../../../src/schemas/Job.ts"
import { type JobRecord, Service } from "../../../src/schemas/JobRecord.ts"
import { JobState } from "../../../src/schemas/JobState.ts"
import {
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

export const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const Text = Schema.Literals(["a", "b", "\u0000\ud800"])

export const Draft = Schema.Struct({
  namespace: between(0, 1),
  key: between(0, 1),
  node: between(0, 2),
  model: Text,
  tag: Schema.NullOr(Text),
  code: Schema.NullOr(Text),
  endpoint: Endpoint,
  mode: Mode,
  state: JobState,
  service: Service,
  at: between(0, 5),
  tokens: between(0, 1000),
  queueMs: Schema.NullOr(between(0, 3)),
  firstTokenMs: Schema.NullOr(between(0, 9)),
  totalMs: Schema.NullOr(between(0, 50)),
  words: Schema.Array(Schema.Literals(["Plum", "straße", "ΣΟΦΟΣ", 'a "b"\n', "role"])).check(Schema.isMaxLength(2)),
  cost: Schema.NullOr(Schema.Literals([0n, 1n, 7_000_000_001n, 2n ** 56n + 1n]))
})

/** A search, with numbers for what the world has. */
export const Asked = Schema.Struct({
  scope: between(0, 2),
  key: Schema.optionalKey(between(0, 1)),
  node: Schema.optionalKey(between(1, 2)),
  model: Schema.optionalKey(Text),
  clientTag: Schema.optionalKey(Text),
  errorCode: Schema.optionalKey(Text),
  service: Schema.optionalKey(Service),
  endpoint: Schema.optionalKey(Endpoint),
  mode: Schema.optionalKey(Mode),
  state: Schema.optionalKey(JobState),
  from: Schema.optionalKey(between(0, 5)),
  to: Schema.optionalKey(between(0, 6)),
  limit: between(1, 8)
})

/** Two namespaces, with keys and nodes, and documents among them in a stretch of six hours that spans two days. */
export const world = Effect.fnUntraced(function* (drafts: ReadonlyArray<typeof Draft.Type>) {
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
      service: draft.service,
      createdAt: start + draft.at * HOUR,
      input: {
        ...blank.input,
        model: draft.model,
        endpoint: draft.endpoint,
        mode: draft.mode,
        request: draft.words.length === 0 ? null : { messages: [{ role: "user", content: draft.words[0]! }] }
      },
      routing: { ...blank.routing, nodeId: nodes[draft.node]! },
      output: draft.tokens === 0 ? null : saying(draft.words[1] ?? "", draft.tokens),
      system: {
        ...blank.system,
        queueMs: draft.queueMs,
        firstTokenMs: draft.firstTokenMs,
        totalMs: draft.totalMs
      },
      cost: draft.cost === null ? null : Credits.make(draft.cost)
    }
  })
  yield* Effect.forEach(all, (record) => records.open(record), { concurrency: 16 })
  const scopes: ReadonlyArray<Scope> = [operator, only(namespaces[0]!), only(namespaces[1]!)]
  return { start, end: start + 6 * HOUR, namespaces, keys, nodes, all, scopes }
})
export const HOUR = 3_600_000

export const saying = (text: string, tokens: number) => ({
  ...anOutput(tokens, tokens * 2),
  choices: [{ choice: 0, text, finish: null }]
})

export const inScope = (scope: Scope) => (record: JobRecord) =>
  scope._tag === "Operator" || scope.namespaceId === record.namespaceId

export const answers = (filter: JobFilter) => (record: JobRecord) =>
  (filter.model === undefined || record.input.model === filter.model) &&
  (filter.endpoint === undefined || record.input.endpoint === filter.endpoint) &&
  (filter.mode === undefined || record.input.mode === filter.mode) &&
  (filter.state === undefined || record.state === filter.state) &&
  (filter.clientTag === undefined || record.clientTag === filter.clientTag) &&
  (filter.keyId === undefined || record.keyId === filter.keyId) &&
  (filter.nodeId === undefined || record.routing.nodeId === filter.nodeId) &&
  (filter.errorCode === undefined || record.errorCode === filter.errorCode) &&
  (filter.service === undefined || record.service === filter.service) &&
  (filter.from === undefined || record.createdAt >= filter.from) &&
  (filter.to === undefined || record.createdAt < filter.to)

export const newestFirst = (a: Cursor, b: Cursor) => b.createdAt - a.createdAt || (a.jobId < b.jobId ? 1 : -1)

/** The smallest time that at least this share of the times does not exceed, by counting. */
const percentile = (times: ReadonlyArray<number>, percent: number) =>
  times
    .toSorted((a, b) => a - b)
    .find((time) => times.filter((other) => other <= time).length * 100 >= percent * times.length) ?? null

const GROUP: Readonly<Record<Grouping, (record: JobRecord) => string | null>> = {
  model: ({ input }) => input.model,
  key: ({ keyId }) => keyId,
  namespace: ({ namespaceId }) => namespaceId,
  node: ({ routing }) => routing.nodeId,
  hour: ({ createdAt }) => `${new Date(createdAt).toISOString().slice(0, 13)}:00Z`,
  day: ({ createdAt }) => new Date(createdAt).toISOString().slice(0, 10)
}

const percentiles = (times: ReadonlyArray<number>) =>
  times.length === 0 ? null : { p50: percentile(times, 50), p95: percentile(times, 95), p99: percentile(times, 99) }

export const statsFold = (all: ReadonlyArray<JobRecord>, { groupBy, from, to }: StatsQuery) => {
  const groups = new Map<string, Array<JobRecord>>()
  for (const record of all.filter(answers({ from, to }))) {
    const key = JSON.stringify(groupBy.map((one) => GROUP[one](record)))
    groups.set(key, [...(groups.get(key) ?? []), record])
  }
  return [...groups].map(([key, jobs]) => {
    const done = jobs.filter(({ state }) => state === "completed")
    const times = (name: "queueMs" | "firstTokenMs" | "totalMs") =>
      percentiles(done.flatMap(({ system }) => system[name] ?? []))
    return {
      groups: JSON.parse(key),
      jobs: jobs.length,
      completed: done.length,
      failed: jobs.filter(({ state }) => ["failed", "timed_out", "expired"].includes(state)).length,
      promptTokens: jobs.reduce((sum, { output }) => sum + (output?.tokens.prompt ?? 0), 0),
      outputTokens: jobs.reduce((sum, { output }) => sum + (output?.tokens.completion ?? 0), 0),
      cost: jobs.reduce((sum, { cost }) => sum + (cost ?? 0n), 0n),
      queueMs: times("queueMs"),
      firstTokenMs: times("firstTokenMs"),
      totalMs: times("totalMs")
    }
  })
}

/** In the order of their groups, whatever that is. */
export const inOneOrder = (rows: ReadonlyArray<{ readonly groups: unknown }>) =>
  rows.toSorted((a, b) => (JSON.stringify(a.groups) < JSON.stringify(b.groups) ? -1 : 1))
