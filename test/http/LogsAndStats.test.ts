/** The typed log and the figures for dashboards, for customers and for operators. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import { Logs } from "../../src/layers/Logs.ts"
import { LogType } from "../../src/schemas/JobRecord.ts"
import { LogList, StatsView } from "../../src/schemas/openai/JobView.ts"
import { aFinishedRecord, aJobId, aNodeId, aRecord, credits } from "../support/factories.ts"
import { aLogEntry } from "../support/recordFactories.ts"
import { ask as askAs, makeWorld, World } from "./World.ts"

const strict = { onExcessProperty: "error" } as const

const askControl = (path: string, wishes: Parameters<typeof askAs>[1] = {}) =>
  Effect.flatMap(World, ({ control }) => askAs(`${control}${path}`, { key: null, ...wishes }))

const logOf = (answer: { readonly body: unknown }) => Schema.decodeUnknownSync(LogList, strict)(answer.body)

it.effect("S71: the log is read by type, job and time, oldest first, page by page", () =>
  Effect.gen(function* () {
    const { namespace } = yield* World
    const jobId = aJobId()
    const entries = LogType.literals.flatMap((type, at) => [
      aLogEntry(namespace.id, { type, at: 10 + at, code: `first_${type}` }),
      aLogEntry(namespace.id, { type, at: 30 + at, code: `second_${type}`, jobId })
    ])
    yield* (yield* Logs).append(entries)
    for (const type of LogType.literals) {
      const { data } = logOf(yield* askAs(`/v1/logs?type=${type}`))
      assert.deepStrictEqual(
        data.map(({ code }) => code),
        [`first_${type}`, `second_${type}`]
      )
    }
    assert.lengthOf(logOf(yield* askAs(`/v1/logs?job=${jobId}`)).data, LogType.literals.length)
    assert.deepStrictEqual(
      logOf(yield* askAs("/v1/logs?from=11&to=13")).data.map(({ at }) => at),
      [11, 12]
    )
    const times: Array<number> = []
    let cursor = ""
    do {
      const page = logOf(yield* askAs(`/v1/logs?limit=4${cursor}`))
      times.push(...page.data.map(({ at }) => at))
      cursor = page.next_cursor === null ? "" : `&cursor=${page.next_cursor}`
    } while (cursor !== "")
    assert.deepStrictEqual(
      times,
      entries.map(({ at }) => at).toSorted((a, b) => a - b)
    )
    for (const query of ["type=secrets", "job=x", "node=0x1", "cursor=abc"]) {
      assert.strictEqual((yield* askAs(`/v1/logs?${query}`)).status, 400, query)
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("S72: a namespace reads its own log only; an operator reads all, or one by name, and the audit says so", () =>
  Effect.gen(function* () {
    const world = yield* World
    yield* (yield* Logs).append([
      aLogEntry(world.namespace.id, { code: "mine", at: 1 }),
      aLogEntry(world.other.id, { code: "theirs", at: 2 })
    ])
    assert.deepStrictEqual(
      logOf(yield* askAs("/v1/logs")).data.map(({ code }) => code),
      ["mine"]
    )
    const codes = (text: string) => (JSON.parse(text).data as ReadonlyArray<{ code: string }>).map(({ code }) => code)
    assert.deepStrictEqual(codes((yield* askControl("/control/logs")).text), ["mine", "theirs"])
    const one = yield* askControl(`/control/logs?namespace=${world.other.id}&type=request`, {
      headers: { "x-actor": "ada", "x-reason": "dispute 7" }
    })
    assert.deepStrictEqual(codes(one.text), ["theirs"])
    const { text } = yield* askControl("/control/audit")
    assert.match(
      text,
      new RegExp(`"actor":"operator/ada","action":"logs.read","subject":"namespace/${world.other.id}"`)
    )
    const page = yield* askAs("/v1/logs?limit=1")
    assert.isNull(logOf(page).next_cursor)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("C45: a customer's log says that a node did it, and not which one", () =>
  Effect.gen(function* () {
    const { namespace } = yield* World
    const nodeId = aNodeId()
    yield* (yield* Logs).append([
      aLogEntry(namespace.id, { nodeId, data: { from: nodeId, list: [nodeId.toUpperCase().replace("0X", "0x")] } })
    ])
    const { text, body } = yield* askAs("/v1/logs")
    assert.notMatch(text, /0x[0-9a-f]{40}/i)
    assert.deepStrictEqual(logOf({ body }).data[0]?.data, { from: "node", list: ["node"] })
    assert.include((yield* askControl("/control/logs")).text, nodeId)
  }).pipe(Effect.provide(makeWorld()))
)

const place = Effect.fnUntraced(function* () {
  const world = yield* World
  const { open } = yield* JobRecords
  const { system, routing } = aRecord()
  const nodeId = aNodeId()
  for (const [namespaceId, createdAt, state, ms] of [
    [world.namespace.id, 3_600_000, "completed", 10],
    [world.namespace.id, 3_600_001, "completed", 30],
    [world.namespace.id, 7_200_000, "failed", 50],
    [world.other.id, 3_600_000, "expired", 70]
  ] as const) {
    yield* open({
      ...aFinishedRecord(createdAt + ms, { jobId: aJobId(), namespaceId, createdAt, state, cost: credits(250_000) }),
      routing: { ...routing, nodeId: state === "expired" ? null : nodeId },
      system: { ...system, queueMs: 1, firstTokenMs: ms / 2, totalMs: ms }
    })
  }
  return { world, nodeId }
})

it.effect(
  "S58: a customer's figures by model and hour are counts, errors, tokens, cost and percentiles of his own jobs",
  () =>
    Effect.gen(function* () {
      yield* place()
      const { body } = yield* askAs("/v1/stats?group_by=model,hour&from=0&to=86400000")
      const stats = Schema.decodeUnknownSync(StatsView, strict)(body)
      assert.deepStrictEqual(stats.group_by, ["model", "hour"])
      const [first, second] = stats.data
      assert.deepStrictEqual(first, {
        group: { model: "tiny", hour: "1970-01-01T01:00Z" },
        jobs: 2,
        completed: 2,
        failed: 0,
        error_rate: 0,
        prompt_tokens: 6,
        output_tokens: 8,
        cost: "0.5",
        queue_ms: { p50: 1, p95: 1, p99: 1 },
        first_token_ms: { p50: 5, p95: 15, p99: 15 },
        total_ms: { p50: 10, p95: 30, p99: 30 }
      })
      assert.deepStrictEqual(
        [second?.group["hour"], second?.error_rate, second?.total_ms],
        ["1970-01-01T02:00Z", 1, null]
      )
      for (const query of [
        "group_by=node",
        "group_by=namespace",
        "group_by=model,key,day",
        "group_by=hour&from=0&to=9999999999"
      ]) {
        assert.strictEqual((yield* askAs(`/v1/stats?${query}`)).status, 400, query)
      }
    }).pipe(Effect.provide(makeWorld()))
)

it.effect("S77: an operator's figures go by namespace and node, over all namespaces or one", () =>
  Effect.gen(function* () {
    const { world, nodeId } = yield* place()
    const rows = Effect.fnUntraced(function* (query: string) {
      const { text } = yield* askControl(`/control/stats?from=0&to=86400000&${query}`)
      return JSON.parse(text).data as ReadonlyArray<{ group: object; jobs: number; errorRate: number; cost: string }>
    })
    const byNode = yield* rows("group_by=node")
    assert.deepStrictEqual(
      byNode.map(({ group, jobs, errorRate, cost }) => ({ group, jobs, errorRate, cost })),
      [
        { group: { node: null }, jobs: 1, errorRate: 1, cost: "0.25" },
        { group: { node: nodeId }, jobs: 3, errorRate: 1 / 3, cost: "0.75" }
      ]
    )
    assert.lengthOf(yield* rows("group_by=namespace"), 2)
    assert.deepStrictEqual(
      (yield* rows(`group_by=namespace&namespace=${world.other.id}`)).map(({ group }) => group),
      [{ namespace: world.other.id }]
    )
  }).pipe(Effect.provide(makeWorld()))
)
