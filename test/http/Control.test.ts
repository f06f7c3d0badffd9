/** The control listener: who may use it, that every change has a reason and a row in the audit, and what each route does behind its door. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { request as httpRequest } from "node:http"
import { ControlExposed } from "../../src/http/Server.ts"
import { Archive, type NewSegment } from "../../src/layers/Archive.ts"
import { Audit } from "../../src/layers/Audit.ts"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import { JobStore } from "../../src/layers/JobStore.ts"
import { NodeRegistry } from "../../src/layers/NodeRegistry.ts"
import { SegmentId } from "../../src/schemas/Archive.ts"
import type { NamespaceId } from "../../src/schemas/Ids.ts"
import type { WorkView } from "../../src/schemas/Work.ts"
import {
  aFinishedRecord,
  aJob,
  anAdmission,
  anOutput,
  aRegistration,
  credits,
  endedRow,
  fundedNamespace
} from "../support/factories.ts"
import { ask as askPublic, makeWorld, World } from "./World.ts"

const ask = (path: string, wishes: Parameters<typeof askPublic>[1] = {}) =>
  Effect.flatMap(World, ({ control }) => askPublic(`${control}${path}`, { key: null, ...wishes }))

const post = (path: string, body: object = {}, reason: string | null = "test") =>
  ask(path, { body: { ...body, ...(reason === null ? {} : { reason }) } })

/** `fetch` does not let anybody choose the Host header. */
const withHost = (path: string, host: string, headers: Record<string, string> = {}) =>
  Effect.flatMap(World, ({ control }) =>
    Effect.promise(
      () =>
        new Promise<number>((resolve, reject) => {
          const request = httpRequest(`${control}${path}`, { headers: { ...headers, host } }, (response) => {
            response.resume()
            response.on("end", () => resolve(response.statusCode ?? 0))
          })
          request.on("error", reject)
          request.end()
        })
    )
  )

it.effect("Without a key only loopback's own names are answered", () =>
  Effect.gen(function* () {
    for (const host of ["127.0.0.1", "127.0.0.1:9", "localhost", "localhost:80", "[::1]:1"]) {
      assert.strictEqual(yield* withHost("/control/nodes", host), 200, host)
    }
    for (const host of [
      "evil.example",
      "127.0.0.1.evil.example",
      "localhost.evil.example:80",
      "10.0.0.1",
      "127.0.0.1@evil"
    ]) {
      assert.strictEqual(yield* withHost("/control/nodes", host), 403, host)
    }
    assert.strictEqual(yield* withHost("/control/nodes", "localhost", { origin: "http://evil.example" }), 403)
    assert.strictEqual(yield* withHost("/control/nodes", "localhost", { origin: "http://localhost" }), 200)
    assert.strictEqual(yield* withHost("/healthz", "probe"), 200)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("With a key nothing but the key opens it, wherever the request comes from", () =>
  Effect.gen(function* () {
    const { key } = yield* World
    for (const wrong of [null, "x", `${"k".repeat(32)}x`, "k".repeat(31), key]) {
      const answer = yield* ask("/control/nodes", { key: wrong })
      assert.deepStrictEqual([answer.status, answer.body.error.code], [401, "invalid_api_key"])
    }
    assert.strictEqual((yield* ask("/control/nodes", { key: "k".repeat(32) })).status, 200)
    assert.strictEqual((yield* ask("/metrics")).status, 401)
    assert.strictEqual((yield* ask("/readyz")).status, 200)
    // The control key opens nothing on the public listener.
    assert.strictEqual((yield* askPublic("/v1/models", { key: "k".repeat(32) })).status, 401)
  }).pipe(Effect.provide(makeWorld({ controlKey: "k".repeat(32) })))
)

it.effect("It is not built on another address, when it has no key", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const error = yield* Effect.flip(Layer.buildWithScope(makeWorld({ controlHost: "0.0.0.0" }), scope))
    assert.instanceOf(error, ControlExposed)
    assert.include(String((error as ControlExposed).message), "0.0.0.0")
    yield* Scope.close(scope, Exit.void)
  })
)

it.effect("A change without a reason is refused and changes nothing", () =>
  Effect.gen(function* () {
    const { namespace, restricted } = yield* World
    const nodeId = `0x${"a".repeat(40)}`
    for (const [path, body] of [
      [`/control/nodes/${nodeId}/pause`, {}],
      [`/control/nodes/${nodeId}/reinstate`, {}],
      [`/control/namespaces/${namespace.id}/grant`, { amount: "1", reference: "r" }],
      ["/control/keys", { namespaceId: namespace.id }],
      ["/control/settings", { changes: { outputTokensDefault: 5 } }],
      ["/control/sweepers/expiry/sweep", {}]
    ] as const) {
      const { status, body: told } = yield* post(path, body, null)
      assert.deepStrictEqual([status, told.error.param], [400, "reason"], path)
    }
    assert.deepStrictEqual(restricted, [])
    assert.deepStrictEqual(yield* (yield* Audit).list(0, 10), [])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A node is held back and let go, each time with who and why in the audit", () =>
  Effect.gen(function* () {
    const { restricted } = yield* World
    const registration = aRegistration(0)
    yield* (yield* NodeRegistry).register(registration)
    const at = `/control/nodes/${registration.nodeId}`
    yield* ask(`${at}/pause`, { method: "POST", headers: { "x-reason": "noisy", "x-actor": "ann" } })
    yield* post(`${at}/freeze`)
    yield* post(`${at}/resume`)
    yield* post(`${at}/shadow-ban`)
    assert.deepStrictEqual(restricted, [
      `paused ${registration.nodeId}`,
      `frozen ${registration.nodeId}`,
      `-paused ${registration.nodeId}`,
      `shadow_banned ${registration.nodeId}`
    ])
    const rows = yield* (yield* Audit).list(0, 10)
    assert.deepStrictEqual(
      rows.map(({ actor, action, reason }) => [actor, action, reason]),
      [
        ["operator/ann", "node.paused", "noisy"],
        ["operator/control", "node.frozen", "test"],
        ["operator/control", "node.resume", "test"],
        ["operator/control", "node.shadow_banned", "test"]
      ]
    )
    assert.strictEqual((yield* post(`${at}/drain`)).status, 404)
    assert.strictEqual((yield* post(`${at}/pause`, { until: 0 })).status, 400)
    assert.strictEqual((yield* ask(at)).status, 200)
    assert.strictEqual((yield* ask("/control/nodes/0x1")).status, 404)
    const listed = (yield* ask("/control/nodes")).text
    assert.include(listed, '"link":"offline"')
    assert.deepStrictEqual<unknown>((yield* ask("/control/audit/verify")).body, { ok: true, broken: null })
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A namespace and a key made here can be used at once, and a revoked key cannot", () =>
  Effect.gen(function* () {
    const made = yield* post("/control/namespaces", { name: "acme", environment: "testnet", rules: { weight: 7 } })
    assert.strictEqual(made.status, 201)
    const { namespace } = made.body as unknown as {
      readonly namespace: { readonly id: string; readonly rules: { readonly weight: number } }
    }
    assert.strictEqual(namespace.rules.weight, 7)
    const { body } = yield* post("/control/keys", { namespaceId: namespace.id, ratePerSecond: 5 })
    const { key, secret } = body as unknown as { readonly key: { readonly id: string }; readonly secret: string }
    assert.notInclude((yield* ask("/control/keys")).text, secret)
    assert.strictEqual((yield* askPublic("/v1/balance", { key: secret })).status, 200)
    assert.strictEqual((yield* post(`/control/keys/${key.id}/revoke`)).status, 200)
    assert.strictEqual((yield* askPublic("/v1/balance", { key: secret })).status, 401)
    for (const [retentionTier, status, says] of [
      ["space", 501, "not available here"],
      ["strange", 400, "standard, extended"],
      ["extended", 200, '"retentionTier":"extended"']
    ] as const) {
      const answer = yield* post(`/control/namespaces/${namespace.id}/rules`, { rules: { retentionTier } })
      assert.strictEqual(answer.status, status)
      assert.include(answer.text, says)
    }
    assert.include((yield* post(`/control/namespaces/${namespace.id}/hold`, { held: true })).text, '"held":true')
    const heldBack = yield* post("/control/erasures", { namespaceId: namespace.id })
    assert.deepStrictEqual([heldBack.status, heldBack.body.error.code], [409, "conflict"])
    assert.strictEqual((yield* post(`/control/namespaces/${namespace.id}/hold`, { held: false })).status, 200)
    const ordered = yield* post("/control/erasures", { namespaceId: namespace.id, user: "anna" })
    assert.deepStrictEqual([ordered.status, (yield* ask("/control/erasures")).text.includes('"anna"')], [202, true])
    const amended = yield* post(`/control/namespaces/${namespace.id}/rules`, { rules: { retentionDays: 3 } })
    assert.include(amended.text, '"retentionDays":3')
    assert.include(amended.text, '"weight":7')
    const audited = yield* (yield* Audit).list(0, 10)
    assert.notInclude(JSON.stringify(audited), secret)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Credits are granted as decimals, once for each reference, and never less than nothing", () =>
  Effect.gen(function* () {
    const { namespace } = yield* World
    const at = `/control/namespaces/${namespace.id}`
    for (const amount of ["-1", "0", "1.1234567", "1e3", "9223372036854775808", "", "one", "0.0"]) {
      assert.strictEqual((yield* post(`${at}/grant`, { amount, reference: "r" })).status, 400, amount)
    }
    assert.strictEqual((yield* post(`${at}/grant`, { amount: 5, reference: "r" })).status, 400)
    yield* post(`${at}/grant`, { amount: "12.5", reference: "r" })
    yield* post(`${at}/grant`, { amount: "12.5", reference: "r" })
    const { body } = yield* ask(`${at}/balance`)
    assert.deepStrictEqual<unknown>(body["balance"], { granted: "12.5", available: "12.5", reserved: "0", spent: "0" })
    const { text } = yield* ask(`${at}/entries?limit=5`)
    assert.strictEqual(text.match(/"kind":"grant"/g)?.length, 1)
    assert.deepInclude((yield* ask("/control/ledger/audit")).body as never, { ok: true, findings: [] })
    assert.strictEqual(
      (yield* post("/control/namespaces/ns_nobody/grant", { amount: "1", reference: "r" })).status,
      404
    )
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Settings change by what is named, and a value that is none is refused by its name", () =>
  Effect.gen(function* () {
    const changed = yield* post("/control/settings", {
      changes: {
        outputTokensDefault: 77,
        prices: { big: { perPromptToken: "2", perOutputToken: "4", perRequest: "0" } }
      }
    })
    const { version, settings } = changed.body as unknown as {
      readonly version: number
      readonly settings: { readonly prices: object }
    }
    assert.strictEqual(version, 2)
    assert.hasAllKeys(settings.prices, ["default", "big"])
    for (const changes of [
      { bogus: 1 },
      { failuresMax: 0 },
      { prices: { x: { perPromptToken: "-1", perOutputToken: "1", perRequest: "0" } } }
    ]) {
      const { status, body } = yield* post("/control/settings", { changes })
      assert.strictEqual(status, 400)
      assert.match(body.error.param, /^changes\./)
    }
    assert.strictEqual((yield* ask("/control/settings/history")).text.match(/"version":/g)?.length, 2)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("An operator sees a job's row, history and record, without what was asked and answered", () =>
  Effect.gen(function* () {
    const world = yield* World
    const namespace = yield* fundedNamespace(10_000)
    const job = aJob({ namespaceId: namespace.id })
    yield* (yield* JobStore).admit(anAdmission(job))
    yield* (yield* JobRecords).open({
      ...aFinishedRecord(9, { jobId: job.id, namespaceId: namespace.id }),
      input: { endpoint: "chat", mode: "sync", model: "m", requestedModel: "m", request: { messages: "the prompt" } },
      output: { ...anOutput(1, 1), choices: [{ choice: 0, text: "the answer", finish: "stop" }] }
    })
    const { status, text } = yield* ask(`/control/jobs/${job.id}`)
    assert.strictEqual(status, 200)
    assert.notInclude(text, "the prompt")
    assert.notInclude(text, "the answer")
    assert.include(text, '"kind":"admitted"')
    world.place(endedRow({ job }))
    assert.include((yield* ask(`/control/jobs/${job.id}/trace`)).text, '"attempts":')
    assert.include((yield* ask(`/control/jobs/${job.id}/explain`)).text, "The job waits.")
    assert.strictEqual((yield* post(`/control/jobs/${job.id}/cancel`)).status, 200)
    assert.deepStrictEqual(world.cancelled, [{ jobId: job.id, cause: "operator" }])
    assert.strictEqual((yield* post(`/control/jobs/${job.id}/hold`, { held: true })).status, 200)
    assert.strictEqual((yield* ask(`/control/jobs?namespace=${namespace.id}`)).text.match(/"jobId"/g)?.length, 1)
    assert.strictEqual((yield* ask("/control/jobs/job_none")).status, 404)
    assert.include((yield* ask("/control/lanes")).text, `"waiting":1`)
    assert.strictEqual(credits(1), 1n)
  }).pipe(Effect.provide(makeWorld()))
)

const twoLines = (namespaceId: NamespaceId, digit: string): NewSegment => ({
  id: SegmentId.make(`seg_${digit.repeat(32)}`),
  dataClass: "jobs",
  namespaceId,
  recordVersion: 1,
  from: 0,
  to: 1,
  createdAt: 2,
  lines: ['{"a":1}', '{"a":2}']
})

it.effect("A segment is read and verified, and a broken one is said to be broken", () =>
  Effect.gen(function* () {
    const { namespace } = yield* World
    const segment = twoLines(namespace.id, "0")
    yield* (yield* Archive).write(segment)
    const read = yield* ask(`/control/archives/${segment.id}`)
    assert.strictEqual(read.text, '{"a":1}\n{"a":2}\n')
    assert.include((yield* ask("/control/archives")).text, segment.id)
    assert.strictEqual((yield* post(`/control/archives/${segment.id}/verify`)).status, 200)
    assert.strictEqual((yield* ask(`/control/archives/seg_${"1".repeat(32)}`)).status, 404)
    assert.strictEqual((yield* ask("/control/archives/..%2F..%2Fetc%2Fpasswd")).status, 404)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("The whole archive is read back as long work, and what is not whole is named", () =>
  Effect.gen(function* () {
    const { namespace } = yield* World
    const archive = yield* Archive
    const written = ["0", "1", "2"].map((digit) => twoLines(namespace.id, digit))
    const [rotten, unreadable] = [written[1]!.id, written[2]!.id]
    for (const segment of written) yield* archive.write(segment)
    yield* archive.blobs.put(`segments/${unreadable}.manifest.json`, Buffer.from("{"))
    yield* archive.blobs.put(`segments/${rotten}.ndjson.gz`, Buffer.from("rotten"))
    const begun = yield* post("/control/archives/verify")
    assert.strictEqual(begun.status, 202)
    let { work } = begun.body as unknown as { work: WorkView }
    while (work.state === "running") {
      work = ((yield* ask(`/control/works/${work.id}`)).body as unknown as { work: WorkView }).work
    }
    assert.deepInclude(work, { kind: "archive.verify", state: "done", error: null })
    assert.deepInclude(work.progress, { done: 4, total: 4, unit: "rows" })
    const { segments, broken } = work.result as { segments: number; broken: ReadonlyArray<{ segmentId: string }> }
    assert.strictEqual(segments, 3)
    assert.sameMembers(
      broken.map(({ segmentId }) => segmentId),
      [rotten, unreadable]
    )
    const [row] = yield* (yield* Audit).list(0, 10)
    assert.deepInclude(row, { action: "archive.verify", subject: `work/${work.id}` })
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Sweeps run by hand, dry when asked; probes and figures answer", () =>
  Effect.gen(function* () {
    assert.include((yield* post("/control/sweepers/expiry/sweep?dry_run=true")).text, '"dryRun":true')
    assert.strictEqual((yield* post("/control/sweepers/none/sweep")).status, 404)
    assert.strictEqual((yield* post("/control/sweepers/expiry/sweep?dry_run=maybe")).status, 400)
    const begun = yield* post("/control/sweepers/expiry/sweep?background=true")
    assert.strictEqual(begun.status, 202)
    const { id } = (begun.body as unknown as { work: WorkView }).work
    const { work } = (yield* ask(`/control/works/${id}`)).body as unknown as { work: WorkView }
    assert.deepInclude(work, { kind: "sweep.expiry", state: "done" })
    assert.deepInclude(work.progress, { done: 3, total: null, unit: "rows" })
    assert.deepInclude((yield* (yield* Audit).list(0, 10)).at(-1), { subject: "sweeper/expiry", detail: { work: id } })
    assert.strictEqual((yield* post("/control/sweepers/none/sweep?background=true")).status, 404)
    assert.strictEqual((yield* post("/control/sweepers/expiry/sweep?background=true&dry_run=true")).status, 400)
    assert.deepStrictEqual<unknown>((yield* ask("/control/daemons")).body, { data: [] })
    assert.include((yield* ask("/readyz")).text, '"ready":true')
    assert.include((yield* ask("/metrics")).text, "# TYPE resultity_refusals_total counter")
    assert.deepStrictEqual<unknown>((yield* ask("/control/actors")).body, { data: [] })
    assert.strictEqual((yield* post("/control/actors/restart", { address: "job/x" })).status, 501)
    assert.include((yield* ask("/control/incidents")).text, '"data":')
  }).pipe(Effect.provide(makeWorld()))
)
