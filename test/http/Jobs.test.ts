/** The native job routes: submission, status, result, trace, search; and that no namespace sees another's. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import { Logs } from "../../src/layers/Logs.ts"
import { CreditLedger } from "../../src/layers/CreditLedger.ts"
import { ChatCompletion } from "../../src/schemas/openai/Answers.ts"
import { BalanceView, JobList, JobTrace, JobView, UsageView } from "../../src/schemas/openai/JobView.ts"
import { aFinishedRecord, aJob, aJobId, aNodeId, aRecord, credits, endedRow } from "../support/factories.ts"
import { aLogEntry } from "../support/recordFactories.ts"
import { ask, makeWorld, World } from "./World.ts"

const strict = { onExcessProperty: "error" } as const
const input = { messages: [{ role: "user", content: "Hi" }], max_tokens: 5 }

it.effect("A native submission is answered with its job, and carries all that was asked", () =>
  Effect.gen(function* () {
    const world = yield* World
    const { status, headers, body } = yield* ask("/v1/jobs", {
      body: {
        model: "tiny",
        input,
        priority: "bulk",
        deadline_ms: 5000,
        constraints: { region: "eu", vram_min_mib: 8192 },
        on_node_loss: "restart",
        user: "u-1",
        workflow: { kind: "agent_workflow", ref: "w-1" }
      }
    })
    assert.strictEqual(status, 202)
    const view = Schema.decodeUnknownSync(JobView, strict)(body)
    assert.strictEqual(headers.get("location"), `/v1/jobs/${view.id}`)
    const [request] = world.admitted
    assert.deepStrictEqual(request?.body, { ...input, model: "tiny" })
    assert.deepStrictEqual(
      [
        request?.mode,
        request?.priority,
        request?.deadlineMs,
        request?.constraints,
        request?.onNodeLoss,
        request?.clientTag
      ],
      ["polling", "bulk", 5000, { region: "eu", vramMinMiB: 8192 }, "restart", "u-1"]
    )
    assert.deepStrictEqual(request?.workflow, { kind: "agent_workflow", ref: "w-1" })
    assert.property(request?.request, "resultity")
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("The native route answers at once or piece by piece, when it is asked to", () =>
  Effect.gen(function* () {
    const sync = yield* ask("/v1/jobs", { body: { input: { ...input, model: "tiny" }, mode: "sync" } })
    Schema.decodeUnknownSync(ChatCompletion, strict)(sync.body)
    const stream = yield* ask("/v1/jobs", { body: { model: "tiny", input, mode: "stream" } })
    assert.include(stream.text, "data: [DONE]")
    const embeddings = yield* ask("/v1/jobs", {
      body: { endpoint: "embeddings", model: "vec", input: { input: ["a", "b"] } }
    })
    assert.strictEqual(embeddings.status, 202)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Bad native submissions name the field where it stands; planned modes are 501", () =>
  Effect.gen(function* () {
    const cases = [
      [{ model: "tiny", input, typo: 1 }, 400, "typo"],
      [{ model: "tiny", input: { messages: [] } }, 400, "input.messages"],
      [{ input }, 400, "model"],
      [{ model: "tiny" }, 400, "input"],
      [{ model: "tiny", input: { ...input, resultity: {} } }, 400, "input.resultity"],
      [{ model: "tiny", input, constraints: { colour: "red" } }, 400, "constraints.colour"],
      [{ model: "tiny", input, deadline_ms: -1 }, 400, "deadline_ms"],
      [{ model: "tiny", input, mode: "batch" }, 501, "mode"],
      [{ model: "tiny", input, mode: "multimodel" }, 501, "mode"]
    ] as const
    for (const [body, status, param] of cases) {
      const answer = yield* ask("/v1/jobs", { body })
      assert.deepStrictEqual([answer.status, answer.body.error.param], [status, param])
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A result is the same body as the answer on the connection would have been", () =>
  Effect.gen(function* () {
    const world = yield* World
    const records = yield* JobRecords
    const job = aJob({ namespaceId: world.namespace.id, acceptedAt: 5000 })
    const record = aFinishedRecord(6000, { jobId: job.id, namespaceId: world.namespace.id, createdAt: 5000 })
    yield* records.open({
      ...record,
      input: { endpoint: "chat", mode: "polling", model: "tiny", requestedModel: "alias", request: {} },
      output: {
        kind: "text",
        choices: [{ choice: 0, text: "Hello", finish: "stop" }],
        tokens: { prompt: 7, completion: 3, total: 10 },
        latencyMs: 1,
        sha256: "0"
      }
    })
    world.place(endedRow({ job }))
    const { status, body } = yield* ask(`/v1/jobs/${job.id}/result`)
    assert.strictEqual(status, 200)
    const answer = Schema.decodeUnknownSync(ChatCompletion, strict)(body)
    assert.deepStrictEqual([answer.model, answer.created, answer.usage.total_tokens], ["alias", 5, 10])
    assert.strictEqual(answer.choices[0]?.message.content, "Hello")
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A result says that the job runs, how it failed, or that it is archived", () =>
  Effect.gen(function* () {
    const world = yield* World
    const place = (over: Parameters<typeof endedRow>[0]) => {
      const job = aJob({ namespaceId: world.namespace.id })
      world.place(endedRow({ ...over, job }))
      return `/v1/jobs/${job.id}/result`
    }
    const running = yield* ask(place({ state: "active", finishedAt: null }))
    assert.deepStrictEqual([running.status, Schema.decodeUnknownSync(JobView, strict)(running.body).cost], [202, null])
    const failed = yield* ask(place({ state: "failed", errorCode: "declined" }))
    assert.deepStrictEqual([failed.status, failed.body.error.code], [503, "job_failed"])
    assert.strictEqual(failed.headers.get("x-should-retry"), "false")
    const archived = yield* ask(place({ state: "completed" }))
    assert.deepStrictEqual([archived.status, archived.body.error.code], [410, "archived"])
    assert.include(archived.body.error.message, "7 prompt and 3 output tokens")
    const job = archived.body.job!
    assert.deepStrictEqual([job.state, job.usage.prompt_tokens, job.usage.output_tokens], ["completed", 7, 3])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Another's job, a job that never was and an id that is none cannot be told apart", () =>
  Effect.gen(function* () {
    const world = yield* World
    const foreign = aJob({ namespaceId: world.other.id })
    world.place(endedRow({ job: foreign }))
    const bodies = new Set<string>()
    for (const id of [
      foreign.id,
      aJobId(),
      "1",
      "..%2Fx",
      "x".repeat(10_000),
      "8c1c6e0e-6f0e-4c5e-9d5b-0d8b2a7f6c11"
    ]) {
      for (const [path, method] of [
        ["", "GET"],
        ["/result", "GET"],
        ["/events", "GET"],
        ["/explain", "GET"],
        ["/trace", "GET"],
        ["/cancel", "POST"]
      ] as const) {
        const { status, text } = yield* ask(`/v1/jobs/${id}${path}`, { method, headers: { "x-request-id": "same" } })
        assert.strictEqual(status, 404, `${id.slice(0, 20)}${path}`)
        bodies.add(text)
      }
    }
    assert.strictEqual(bodies.size, 1)
    assert.deepStrictEqual(world.cancelled, [])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A trace tells a job's life with names for its nodes that hold nowhere else", () =>
  Effect.gen(function* () {
    const world = yield* World
    const job = aJob({ namespaceId: world.namespace.id })
    const [first, second] = [aNodeId(), aNodeId()]
    const attempt = { epoch: 1, leasedAt: 1, assignedAt: 2, firstTokenAt: 3, endedAt: 4, cause: null, firstSeq: 1 }
    yield* (yield* JobRecords).open(
      aRecord({
        jobId: job.id,
        namespaceId: world.namespace.id,
        routing: {
          nodeId: second,
          assignedAt: 2,
          attempts: [
            { ...attempt, attempt: 1, nodeId: first, state: "failed", tokens: 2 },
            { ...attempt, attempt: 2, nodeId: second, state: "succeeded", tokens: 3 }
          ],
          fallbacks: [],
          decisions: []
        },
        moments: [{ at: 3, moment: { _tag: "NodeBack", nodeId: second } }]
      })
    )
    yield* (yield* Logs).append([
      aLogEntry(world.namespace.id, { jobId: job.id, nodeId: first, data: { node: first } })
    ])
    world.place(endedRow({ job }))
    const { text, body } = yield* ask(`/v1/jobs/${job.id}/trace`)
    const trace = Schema.decodeUnknownSync(JobTrace, strict)(body)
    assert.notMatch(text, /0x[0-9a-f]{40}/)
    assert.deepStrictEqual(
      trace.attempts.map(({ node, state }) => [node, state]),
      [
        ["node-1", "failed"],
        ["node-2", "succeeded"]
      ]
    )
    assert.strictEqual(trace.pieces, 5)
    assert.deepStrictEqual(trace.moments, [{ at: 3, name: "NodeBack", detail: { nodeId: "node-2" } }])
    assert.strictEqual(trace.logs.length, 1)
    const { text: view } = yield* ask(`/v1/jobs/${job.id}`)
    assert.notMatch(view, /0x[0-9a-f]{40}|daemon_/)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A search walks all jobs page by page, and its cursor serves its namespace only", () =>
  Effect.gen(function* () {
    const world = yield* World
    const records = yield* JobRecords
    for (let at = 1; at <= 5; at++) {
      yield* records.open(aRecord({ jobId: aJobId(), namespaceId: world.namespace.id, createdAt: at }))
      yield* records.open(aRecord({ jobId: aJobId(), namespaceId: world.other.id, createdAt: at }))
    }
    const seen: Array<number> = []
    let cursor = ""
    do {
      const { body } = yield* ask(`/v1/jobs?limit=2${cursor}`)
      const page = Schema.decodeUnknownSync(JobList, strict)(body)
      seen.push(...page.data.map(({ created_at }) => created_at))
      assert.strictEqual(page.has_more, page.next_cursor !== null)
      if (page.next_cursor === null) break
      cursor = `&cursor=${page.next_cursor}`
    } while (seen.length < 10)
    assert.deepStrictEqual(seen, [5, 4, 3, 2, 1])
    const all = Schema.decodeUnknownSync(JobList, strict)((yield* ask("/v1/jobs?limit=5")).body)
    assert.deepStrictEqual([all.data.length, all.has_more], [5, false])
    assert.strictEqual((yield* ask(`/v1/jobs?limit=2${cursor}`, { key: world.otherKey })).status, 400)
    const [flipped] = [`${cursor.slice(0, -1)}${cursor.endsWith("A") ? "B" : "A"}`]
    assert.strictEqual((yield* ask(`/v1/jobs?limit=2${flipped}`)).status, 400)
    const range = yield* ask("/v1/jobs?from=2&to=4")
    assert.deepStrictEqual(
      Schema.decodeUnknownSync(JobList)(range.body).data.map((line) => line.created_at),
      [3, 2]
    )
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Balance and usage are the namespace's own, and a cell of the CSV is never a formula", () =>
  Effect.gen(function* () {
    const world = yield* World
    yield* (yield* CreditLedger).grant({
      namespaceId: world.namespace.id,
      amount: credits(1_500_000),
      reference: "r",
      at: 0
    })
    const balance = Schema.decodeUnknownSync(BalanceView, strict)((yield* ask("/v1/balance")).body)
    assert.deepStrictEqual([balance.granted, balance.available, balance.spent], ["1.5", "1.5", "0"])
    const records = yield* JobRecords
    const record = aFinishedRecord(1, { jobId: aJobId(), namespaceId: world.namespace.id, createdAt: 0 })
    yield* records.open({ ...record, input: { ...record.input, model: "=HYPERLINK(1),x" } })
    const usage = yield* ask("/v1/usage?group_by=model&from=0&to=10")
    assert.strictEqual(Schema.decodeUnknownSync(UsageView, strict)(usage.body).data[0]?.jobs, 1)
    for (const csv of [
      yield* ask("/v1/usage?group_by=model&from=0&to=10&format=csv"),
      yield* ask("/v1/usage?group_by=model&from=0&to=10", { headers: { accept: "text/csv" } })
    ]) {
      assert.match(csv.headers.get("content-type") ?? "", /^text\/csv/)
      assert.match(
        csv.text,
        /^group,jobs,failed,prompt_tokens,output_tokens,cost,total_ms_p50,total_ms_p95\r\n"'=HYPERLINK\(1\),x",1,/
      )
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Fields and headers that name another namespace change nothing", () =>
  Effect.gen(function* () {
    const world = yield* World
    const headers = {
      "x-namespace": world.other.id,
      "openai-organization": world.other.id,
      "openai-project": world.other.id
    }
    const { body } = yield* ask("/v1/jobs", {
      body: { model: "tiny", input: { ...input, namespace: world.other.id } },
      headers
    })
    const view = Schema.decodeUnknownSync(JobView)(body)
    assert.strictEqual((yield* ask(`/v1/jobs/${view.id}`)).status, 200)
    assert.strictEqual((yield* ask(`/v1/jobs/${view.id}`, { key: world.otherKey })).status, 404)
  }).pipe(Effect.provide(makeWorld()))
)
