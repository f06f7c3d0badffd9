/** Webhooks over the control listener: the secret comes once, bad URLs do not come in, and every change has a reason and a row in the audit. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Audit } from "../../src/layers/Audit.ts"
import { Notices } from "../../src/layers/Notices.ts"
import type { Notice, Webhook, WebhookStanding } from "../../src/schemas/Webhook.ts"
import { ask as askPublic, makeWorld, World } from "./World.ts"

const ask = (path: string, wishes: Parameters<typeof askPublic>[1] = {}) =>
  Effect.flatMap(World, ({ control }) => askPublic(`${control}/control/webhooks${path}`, { key: null, ...wishes }))

const post = (path: string, body: object = {}) => ask(path, { body: { reason: "test", ...body } })

const create = (body: object = {}) =>
  Effect.map(post("", { url: "https://example.com/hook", ...body }), ({ status, body }) => ({
    status,
    ...(body as unknown as { readonly webhook: Webhook; readonly secret: string })
  }))

const list = Effect.map(ask(""), ({ body }) => (body as unknown as { data: ReadonlyArray<WebhookStanding> }).data)

it.effect(
  "A webhook made here is listed without the secret that its creation showed, and neither log nor audit has it",
  () =>
    Effect.gen(function* () {
      const { status, webhook, secret } = yield* create({ description: "on call", kinds: ["warning"] })
      assert.strictEqual(status, 201)
      assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
      assert.deepInclude(webhook, { description: "on call", kinds: ["warning"], severities: ["medium", "high"] })
      assert.deepStrictEqual(yield* list, [{ ...webhook, pending: 0, nextAt: null }])

      const at = `/${webhook.id}`
      const answers = [
        yield* ask(""),
        yield* post(`${at}/disable`),
        yield* post(`${at}/enable`),
        yield* post(`${at}/test`)
      ]
      const audited = yield* (yield* Audit).list(0, 10)
      assert.notInclude(JSON.stringify([answers.map(({ text }) => text), audited]), secret.slice(6))
      assert.notInclude(JSON.stringify(audited), "/hook")
      assert.deepStrictEqual(
        audited.map(({ action, subject }) => [action, subject]),
        ["create", "disable", "enable", "test"].map((word) => [`webhook.${word}`, `webhook/${webhook.id}`])
      )
    }).pipe(Effect.provide(makeWorld()))
)

it.effect(
  "A URL that leads inside, or travels in clear, is refused with the reason; so is what is wanted of it and unknown",
  () =>
    Effect.gen(function* () {
      for (const [url, says] of [
        ["http://example.com/", /has to begin with https/],
        ["https://127.0.0.1/", /127\.0\.0\.1, which is not allowed/],
        ["https://2130706433/", /127\.0\.0\.1, which is not allowed/],
        ["https://[::ffff:10.0.0.1]/", /not allowed/],
        ["https://a:b@example.com/", /user or a password/],
        ["nowhere", /is no URL/],
        [`https://example.com/${"a".repeat(2048)}`, /2048/]
      ] as const) {
        const { status, body, text } = yield* post("", { url })
        assert.strictEqual(status, 400, url)
        assert.strictEqual((body as { readonly error?: { readonly param?: string } }).error?.param, "url")
        assert.match(text, says, url)
      }
      const url = "https://example.com/"
      for (const wrong of [
        { kinds: [] },
        { kinds: ["gossip"] },
        { severities: ["high", "high"] },
        { secret: "mine" }
      ]) {
        assert.strictEqual((yield* post("", { url, ...wrong })).status, 400, JSON.stringify(wrong))
      }
      assert.strictEqual((yield* ask("", { body: { url } })).status, 400, "no reason")
      assert.deepStrictEqual(yield* list, [])
    }).pipe(Effect.provide(makeWorld()))
)

it.effect("One URL is one webhook, however it is written", () =>
  Effect.gen(function* () {
    const { webhook } = yield* create({ url: "https://EXAMPLE.com:443/hook" })
    assert.strictEqual(webhook.url, "https://example.com/hook")
    const { status, text } = yield* post("", { url: "https://example.com/hook" })
    assert.strictEqual(status, 409)
    assert.include(text, webhook.id)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A test is planned as a notice like any other, and refused while the webhook is disabled", () =>
  Effect.gen(function* () {
    const { webhook } = yield* create()
    const at = `/${webhook.id}`
    const tested = yield* post(`${at}/test`)
    assert.strictEqual(tested.status, 202)
    const { noticeId } = tested.body as unknown as { readonly noticeId: Notice["id"] }
    const { data } = (yield* ask(`${at}/notices?limit=1`)).body as unknown as { data: ReadonlyArray<Notice> }
    assert.deepInclude(data[0], { id: noticeId, type: "webhook.test", state: "pending", attempts: 0, incidentId: null })
    const [taken] = yield* (yield* Notices).take(webhook.id, Number.MAX_SAFE_INTEGER, 0, 1)
    assert.deepInclude(JSON.parse(taken!.body), { type: "webhook.test", data: { webhookId: webhook.id } })
    yield* post(`${at}/disable`)
    assert.strictEqual((yield* post(`${at}/test`)).status, 409)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A webhook that is deleted is there no more, and one that never was is not found", () =>
  Effect.gen(function* () {
    const { webhook } = yield* create()
    assert.strictEqual((yield* post(`/${webhook.id}/delete`)).status, 200)
    assert.deepStrictEqual(yield* list, [])
    for (const id of [webhook.id, "webhook_never", "a%20b"]) {
      for (const word of ["disable", "enable", "delete", "test"]) {
        assert.strictEqual((yield* post(`/${id}/${word}`)).status, 404, `${id} ${word}`)
      }
    }
  }).pipe(Effect.provide(makeWorld()))
)
