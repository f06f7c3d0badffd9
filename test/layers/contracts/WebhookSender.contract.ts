/** What every WebhookSender must do: send just this, signed, and say what came of it; and never more than the patience with one receiver. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, type Layer, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { type Message, signatureOf, WebhookSender } from "../../../src/layers/WebhookSender.ts"
import { aSecret } from "../../support/webhookFactories.ts"

/** Somebody who receives, as far as the suite must know. */
export interface Counterpart {
  readonly url: string
  /** null: nothing, ever. */
  readonly answerWith: (status: number | null, headers?: Record<string, string>) => void
  readonly taken: () => ReadonlyArray<{
    readonly headers: Readonly<Record<string, unknown>>
    readonly body: string
  }>
  readonly untilTaken: Effect.Effect<void>
}

const aMessage = (url: string, over: Partial<Message> = {}): Message => ({
  url,
  secret: aSecret(),
  id: "notice_1",
  at: 1_700_000_000_999,
  body: '{"type":"webhook.test","data":{"é":"\\u0000"}}',
  ...over
})

export const webhookSenderContract = (
  backEnd: string,
  layer: Layer.Layer<WebhookSender>,
  make: Effect.Effect<Counterpart, never, Scope.Scope>
) =>
  it.layer(layer)(`WebhookSender on ${backEnd}`, (it) => {
    it.effect("sends the body as it is, under an id, an instant in seconds and a signature over the three", () =>
      Effect.gen(function* () {
        const [sender, receiver] = [yield* WebhookSender, yield* make]
        const message = aMessage(receiver.url)
        const { secret, id, body } = message
        const outcome = yield* sender.send(message)
        assert.deepStrictEqual(outcome, { _tag: "Answered", status: 204, retryAfter: null })
        const [taken] = receiver.taken()
        assert.strictEqual(taken?.body, body)
        assert.deepInclude(taken?.headers, {
          "content-type": "application/json",
          "webhook-id": id,
          "webhook-timestamp": "1700000000",
          "webhook-signature": signatureOf(secret, id, 1_700_000_000, body)
        })
      })
    )

    it.effect("tells any answer by its status, and what it says of coming again", () =>
      Effect.gen(function* () {
        const [sender, receiver] = [yield* WebhookSender, yield* make]
        for (const status of [200, 302, 410, 429, 500]) {
          receiver.answerWith(status, { "retry-after": "7", location: receiver.url })
          const outcome = yield* sender.send(aMessage(receiver.url))
          assert.deepStrictEqual(outcome, { _tag: "Answered", status, retryAfter: "7" })
        }
        assert.strictEqual(receiver.taken().length, 5)
      })
    )

    it.effect("gives a receiver twenty seconds and no more", () =>
      Effect.gen(function* () {
        const [sender, receiver] = [yield* WebhookSender, yield* make]
        receiver.answerWith(null)
        const sending = yield* Effect.forkChild(sender.send(aMessage(receiver.url)))
        yield* receiver.untilTaken
        yield* TestClock.adjust("19999 millis")
        assert.isUndefined(sending.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const outcome = yield* Fiber.join(sending)
        assert.deepStrictEqual(outcome, { _tag: "Unsent", why: "no whole answer within 20 s" })
      })
    )

    it.effect("does not send to what is no URL, and says so", () =>
      Effect.gen(function* () {
        const sender = yield* WebhookSender
        const outcome = yield* sender.send(aMessage("nowhere"))
        assert.deepStrictEqual(outcome, { _tag: "Unsent", why: sender.objection("nowhere")! })
      })
    )
  })
