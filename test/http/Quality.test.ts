/** Evaluation sets, scores and trials over the control listener; and that the network's own namespace is nobody's to enter. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Audit } from "../../src/layers/Audit.ts"
import { Quality } from "../../src/layers/Quality.ts"
import { SYSTEM_NAME, systemNamespaceId } from "../../src/schemas/Namespace.ts"
import { aTrial, anEvidence } from "../support/qualityFactories.ts"
import { ask as askPublic, makeWorld, World } from "./World.ts"

const ask = (path: string, wishes: Parameters<typeof askPublic>[1] = {}) =>
  Effect.flatMap(World, ({ control }) => askPublic(`${control}/control${path}`, { key: null, ...wishes }))

interface Told {
  readonly set?: object
  readonly versions?: ReadonlyArray<object>
  readonly data?: ReadonlyArray<object>
  readonly error?: { readonly param: string }
}
const told = ({ body }: { readonly body: unknown }) => body as Told

const post = (path: string, body: object) => ask(path, { body: { reason: "test", ...body } })

const SET = {
  id: "sums",
  endpoint: "chat",
  models: "sim-*",
  prompts: [{ id: "two", text: "What is 1 + 1?", tokensMin: 8, expect: [{ kind: "contains", all: ["2"] }] }]
}

it.effect(
  "S50: a set gets a version for each new content, with who and why, and the audit holds none of its texts",
  () =>
    Effect.gen(function* () {
      const first = yield* post("/quality/sets", SET)
      assert.deepInclude(first, { status: 201 })
      assert.deepInclude(told(first).set!, { id: "sums", version: 1, prompts: 1, reason: "test" })
      assert.deepInclude(yield* post("/quality/sets", SET), { status: 200 })
      yield* post("/quality/sets", { ...SET, models: "*", reason: "for all" })

      const newest = told(yield* ask("/quality/sets/sums"))
      assert.deepInclude(newest.set!, { version: 2, models: "*", prompts: SET.prompts, reason: "for all" })
      assert.strictEqual(newest.versions?.length, 2)
      const old = yield* ask("/quality/sets/sums?version=1")
      assert.deepInclude(told(old).set!, { version: 1, models: "sim-*" })
      const { text } = yield* ask("/quality/sets")
      assert.notInclude(text, "What is")
      const audited = yield* (yield* Audit).list(0, 10)
      assert.deepStrictEqual(
        audited.map(({ action, subject }) => [action, subject]),
        [
          ["quality.set", "set/sums"],
          ["quality.set", "set/sums"]
        ]
      )
      assert.notInclude(JSON.stringify(audited), "What is")
    }).pipe(Effect.provide(makeWorld()))
)

it.effect("a set that could judge nothing is refused, and the field is named", () =>
  Effect.gen(function* () {
    const [prompt] = SET.prompts
    for (const [wrong, param] of [
      [{ id: "No Id" }, "id"],
      [{ endpoint: "embeddings" }, "endpoint"],
      [{ prompts: [] }, "prompts"],
      [{ prompts: [prompt, prompt] }, "prompts"],
      [{ prompts: [{ ...prompt, expect: [{ kind: "regex", pattern: "(" }] }] }, "prompts"],
      [{ prompts: [{ ...prompt, more: 1 }] }, "prompts"]
    ] as const) {
      const refused = yield* post("/quality/sets", { ...SET, ...wrong })
      assert.strictEqual(refused.status, 400, JSON.stringify(wrong))
      assert.match(told(refused).error!.param, new RegExp(`^${param}`))
    }
    assert.deepInclude(yield* ask("/quality/sets/none"), { status: 404 })
    assert.deepInclude(yield* ask("/quality/trials?kind=odd"), { status: 400 })
    assert.deepInclude(yield* ask("/quality/scores?node=0x1"), { status: 400 })
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("trials and scores are found by node, kind and state", () =>
  Effect.gen(function* () {
    const quality = yield* Quality
    const [one, other] = [aTrial({ state: "failed", answer: "three" }), aTrial({ kind: "retest" })]
    yield* quality.put(one)
    yield* quality.put(other)
    yield* quality.count([anEvidence({ nodeId: one.nodeId }), anEvidence({ nodeId: other.nodeId })])

    const found = yield* ask(`/quality/trials?state=failed&node=${one.nodeId.toUpperCase().replace("0X", "0x")}`)
    assert.deepStrictEqual(told(found).data!, [one])
    const retests = yield* ask("/quality/trials?kind=retest")
    assert.deepStrictEqual(told(retests).data!, [other])
    const scores = told(yield* ask(`/quality/scores?node=${one.nodeId}`)).data!
    assert.strictEqual(scores.length, 1)
    assert.deepInclude(scores[0], { nodeId: one.nodeId, model: "sim-small" })
  }).pipe(Effect.provide(makeWorld()))
)

it.effect(
  "S49, C75: no key opens the network's namespace, nobody takes its name, and no customer's path leads to trials",
  () =>
    Effect.gen(function* () {
      const { url } = yield* World
      const key = yield* post("/keys", { namespaceId: systemNamespaceId("testnet") })
      assert.strictEqual(key.status, 403)
      const named = yield* post("/namespaces", { name: SYSTEM_NAME, environment: "testnet" })
      assert.strictEqual(named.status, 400)
      for (const path of ["/control/quality/trials", "/v1/quality/trials", "/v1/quality/scores"]) {
        assert.strictEqual((yield* askPublic(`${url}${path}`)).status, 404, path)
      }
    }).pipe(Effect.provide(makeWorld()))
)
