/** What every Webhooks must do: one webhook a URL, a bound on their number, an end with one reason, and no secret in any answer. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer, Redacted } from "effect"
import { Notices } from "../../../src/layers/Notices.ts"
import { Webhooks, WEBHOOKS_MAX } from "../../../src/layers/Webhooks.ts"
import type { WebhookStanding } from "../../../src/schemas/Webhook.ts"
import { aNotice, aSecret, aWebhook, aWebhookId, registered, standing } from "../../support/webhookFactories.ts"
import { timesAtOnce } from "./StateProbes.ts"

export const webhooksContract = <E>(backEnd: string, over: Layer.Layer<Webhooks | Notices, E>) =>
  layer(over, { excludeTestServices: true })(`Webhooks on ${backEnd}`, (it) => {
    it.effect("keeps what was registered, and the same id again is the same webhook", () =>
      Effect.gen(function* () {
        const webhooks = yield* Webhooks
        const webhook = aWebhook({ description: 'who\'s "on call"\ud800', kinds: ["warning"], severities: ["high"] })
        assert.deepStrictEqual(yield* webhooks.register(webhook, aSecret()), webhook)
        assert.deepStrictEqual(yield* webhooks.register({ ...webhook, url: "https://elsewhere" }, aSecret()), webhook)
        assert.deepStrictEqual(yield* standing(webhook.id), { ...webhook, pending: 0, nextAt: null })
        yield* webhooks.remove(webhook.id)
      })
    )

    it.effect("refuses a second webhook of one URL", () =>
      Effect.gen(function* () {
        const webhooks = yield* Webhooks
        const { id, url } = yield* registered()
        const refusal = yield* Effect.flip(webhooks.register(aWebhook({ url }), aSecret()))
        assert.deepInclude({ ...refusal }, { code: "conflict", param: "url" })
        assert.include(String(refusal.message), id)
        yield* webhooks.remove(id)
        yield* webhooks.remove((yield* registered({ url })).id)
      })
    )

    it.effect("takes so many and no more, also of those who come at once", () =>
      Effect.gen(function* () {
        const webhooks = yield* Webhooks
        const before = (yield* webhooks.list).length
        const room = WEBHOOKS_MAX - before
        const tries = yield* timesAtOnce(room + 5, () => Effect.exit(registered()))
        const made = tries.flatMap((exit) => (exit._tag === "Success" ? [exit.value] : []))
        assert.strictEqual(made.length, room)
        const refusal = yield* Effect.flip(registered())
        assert.deepInclude({ ...refusal }, { code: "conflict" })
        for (const { id } of made) yield* webhooks.remove(id)
        assert.strictEqual((yield* webhooks.list).length, before)
      })
    )

    it.effect("lists by age, with what waits and when the first of it is due", () =>
      Effect.gen(function* () {
        const webhooks = yield* Webhooks
        const [first, second] = [yield* registered(), yield* registered()]
        const { createdAt } = second
        yield* (yield* Notices).plan([
          aNotice(second.id, { createdAt: createdAt + 7 }),
          aNotice(second.id, { createdAt: createdAt + 3 })
        ])
        const own = (yield* webhooks.list).filter(({ id }) => id === first.id || id === second.id)
        assert.deepStrictEqual(own, [
          { ...first, pending: 0, nextAt: null },
          { ...second, pending: 2, nextAt: createdAt + 3 }
        ] satisfies ReadonlyArray<WebhookStanding>)
        for (const { id } of own) yield* webhooks.remove(id)
      })
    )

    it.effect("ends for one reason at one instant, and begins anew with what waits due at once", () =>
      Effect.gen(function* () {
        const [webhooks, notices] = [yield* Webhooks, yield* Notices]
        const webhook = yield* registered({ failures: 3, failingSince: 5 })
        const at = webhook.createdAt
        yield* notices.plan([aNotice(webhook.id, { createdAt: at + 900 })])

        const ended = yield* webhooks.disable(webhook.id, "gone", at + 1)
        assert.deepStrictEqual(ended, { ...webhook, disabledAt: at + 1, disabledFor: "gone" })
        assert.deepStrictEqual(yield* webhooks.disable(webhook.id, "operator", at + 2), ended)
        assert.deepStrictEqual(yield* notices.take(webhook.id, at + 1000, at + 2000, 10), [])

        const again = yield* webhooks.enable(webhook.id, at + 3)
        assert.deepStrictEqual(again, { ...webhook, since: at + 3, failures: 0, failingSince: null })
        assert.deepInclude(yield* standing(webhook.id), { pending: 1, nextAt: at + 3 })
        assert.deepStrictEqual(yield* webhooks.enable(webhook.id, at + 4), again)
        yield* webhooks.remove(webhook.id)
      })
    )

    it.effect("forgets a webhook with its notices, and then knows it no more", () =>
      Effect.gen(function* () {
        const [webhooks, notices] = [yield* Webhooks, yield* Notices]
        const { id } = yield* registered()
        const notice = aNotice(id)
        yield* notices.plan([notice])
        yield* webhooks.remove(id)
        assert.deepStrictEqual(yield* notices.list(id, 10), [])
        for (const gone of [id, aWebhookId()]) {
          const refusals = [
            yield* Effect.flip(webhooks.remove(gone)),
            yield* Effect.flip(webhooks.enable(gone, 1)),
            yield* Effect.flip(webhooks.disable(gone, "gone", 1))
          ]
          assert.deepStrictEqual(
            refusals.map((refusal) => (refusal._tag === "Refusal" ? refusal.code : refusal._tag)),
            ["not_found", "not_found", "not_found"]
          )
        }
        assert.strictEqual(yield* notices.plan([notice]), 0)
      })
    )

    it.effect("says no secret in any answer", () =>
      Effect.gen(function* () {
        const webhooks = yield* Webhooks
        const secret = aSecret()
        const { id } = yield* registered({}, secret)
        const answers = [
          yield* webhooks.list,
          yield* webhooks.disable(id, "operator", 1),
          yield* webhooks.enable(id, 2),
          yield* webhooks.register(aWebhook({ id }), aSecret())
        ]
        assert.notInclude(JSON.stringify(answers), Redacted.value(secret).slice(6))
        yield* webhooks.remove(id)
      })
    )
  })
