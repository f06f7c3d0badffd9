/** What a namespace sees of incidents, what a refused request leaves of itself, and a key that may do less while it abuses. */
import { assert, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { ApiKeys } from "../../src/layers/ApiKeys.ts"
import { Incidents } from "../../src/layers/Incidents.ts"
import { IncidentList } from "../../src/schemas/openai/IncidentView.ts"
import { refuse } from "../../src/schemas/Refusal.ts"
import { anIncident, aSighting, freshKey, freshNode, operator } from "../support/recordFactories.ts"
import { ask, makeWorld, World } from "./World.ts"

const read = (text: string) =>
  Schema.decodeUnknownSync(Schema.fromJsonString(IncidentList), { onExcessProperty: "error" })(text)

it.effect("C45: A namespace sees the incidents that name it, and in none of them a node or what somebody wrote", () =>
  Effect.gen(function* () {
    const { namespace, otherKey } = yield* World
    const incidents = yield* Incidents
    const nodeId = freshNode()
    const about = { namespaceId: namespace.id, nodeId, subject: `node/${nodeId}` }
    yield* incidents.raise([
      anIncident({ ...about, at: 1, observed: { outputTokens: 9, node: nodeId, text: "secret words" } }),
      anIncident({ at: 2 })
    ])
    const open = yield* incidents.sight(
      aSighting({ namespaceId: namespace.id, type: "low_balance", subject: `namespace/${namespace.id}`, at: 3 })
    )
    const { status, text } = yield* ask("/v1/incidents")
    assert.strictEqual(status, 200)
    assert.notInclude(text, nodeId)
    assert.notInclude(text, "secret")
    const { data } = read(text)
    assert.deepStrictEqual(
      data.map(({ type, subject, observed, episode }) => ({ type, subject, observed, closed: episode?.closed_at })),
      [
        { type: "low_balance", subject: `namespace/${namespace.id}`, observed: 1, closed: null },
        { type: "slow_job", subject: "node", observed: { outputTokens: 9 }, closed: undefined }
      ]
    )
    const goesOn = yield* ask("/v1/incidents?open=true&type=low_balance&limit=5")
    assert.deepStrictEqual(
      read(goesOn.text).data.map(({ id }) => id),
      [open.id]
    )
    assert.deepStrictEqual(read((yield* ask("/v1/incidents", { key: otherKey })).text).data, [])
    assert.strictEqual((yield* ask("/v1/incidents?open=maybe")).body.error.param, "open")
    assert.strictEqual((yield* ask("/v1/incidents", { key: null })).status, 401)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Operators ask for what goes on alone", () =>
  Effect.gen(function* () {
    const { control } = yield* World
    const incidents = yield* Incidents
    yield* incidents.raise([anIncident({ at: 1 })])
    const { id } = yield* incidents.sight(aSighting({ type: "error_spike", at: 2 }))
    const { text } = yield* ask(`${control}/control/incidents?open=true`, { key: null })
    const { data } = JSON.parse(text) as { data: ReadonlyArray<{ id: string }> }
    assert.deepStrictEqual(
      data.map((each) => each.id),
      [id]
    )
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("S52, S81: A refused request leaves its key and code, also when it was too large to be read", () =>
  Effect.gen(function* () {
    const { namespace, play } = yield* World
    const incidents = yield* Incidents
    const why = refuse("model_unavailable", "No node serves it.", { param: "model" })
    play({ refuse: why, takes: [] })
    yield* ask("/v1/chat/completions", { body: { model: "tiny", messages: [{ role: "user", content: "Hi" }] } })
    yield* ask("/v1/chat/completions", { body: new Uint8Array(9 * 1024 * 1024) })
    yield* TestClock.adjust("1 second")
    const found = yield* Effect.eventually(
      Effect.filterOrFail(
        incidents.list(operator, { kind: "rejection", limit: 9 }),
        (all) => all.length === 2,
        () => "not yet"
      )
    )
    for (const rejection of found) assert.strictEqual(rejection.namespaceId, namespace.id)
    assert.strictEqual(new Set(found.map(({ keyId }) => keyId)).size, 1)
    const observed = Object.fromEntries(found.map((rejection) => [rejection.type, rejection.observed]))
    assert.deepStrictEqual(observed, {
      model_unavailable: { status: 503, param: "model", model: "tiny", environment: namespace.environment },
      request_too_large: { status: 413, param: null }
    })
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("S81: A key with an episode of abuse may do less while it is open, and no other key does", () =>
  Effect.gen(function* () {
    const { key, otherKey } = yield* World
    const incidents = yield* Incidents
    const listed = yield* ask("/v1/balance")
    assert.strictEqual(listed.headers.get("x-ratelimit-limit-requests"), "2000")
    const found = yield* (yield* ApiKeys).authenticate(Redacted.make(key), 0)
    if (found === null) return assert.fail("the key is not known")
    const keyId = found.key.id
    yield* incidents.sight(aSighting({ type: "abuse", subject: "key/other", keyId: freshKey(), observed: {} }))
    const sighting = { type: "abuse", subject: `key/${keyId}`, keyId, observed: { throttlePerSecond: 1 } }
    yield* incidents.sight(aSighting(sighting))
    yield* TestClock.adjust("5 seconds")
    const statuses: Array<number> = []
    for (let count = 0; count < 3; count++) statuses.push((yield* ask("/v1/balance")).status)
    assert.deepStrictEqual(statuses, [200, 200, 429])
    assert.strictEqual((yield* ask("/v1/balance", { key: otherKey })).status, 200)
    yield* incidents.close("abuse", `key/${keyId}`, 1, "recovered")
    yield* TestClock.adjust("5 seconds")
    assert.strictEqual((yield* ask("/v1/balance")).headers.get("x-ratelimit-limit-requests"), "2000")
  }).pipe(Effect.provide(makeWorld()))
)
