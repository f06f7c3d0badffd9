/** Secrets of webhooks are stored sealed, and opened where a notice is sent. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { networkKeyOf } from "../../support/networkKey.ts"
import { aSecret, aWebhook } from "../../support/webhookFactories.ts"
import { WebhookReceiver } from "../../support/WebhookReceiver.ts"
import { make, START } from "./WebhookHouse.ts"

const HOUR = 3_600_000

describe("the secret of a webhook", () => {
  it.effect("is sealed: a daemon of another network key says so, and the notice waits for one that can open it", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      const { id } = yield* house.register(receiver, "/a")
      yield* house.pass
      yield* house.later(1)
      yield* house.raise()
      const stranger = yield* house.heir(house.watermark, networkKeyOf("2"))
      yield* stranger.passAndRest
      yield* stranger.passAndRest
      const [notice] = yield* house.notices.list(id, 1)
      assert.deepInclude(notice, { state: "pending", attempts: 1 })
      assert.match(notice?.lastError ?? "", /^the secret is sealed with the network key .*, and this daemon has /)
      assert.lengthOf(receiver.received, 0)
      yield* house.later(HOUR)
      yield* (yield* house.heir(stranger.watermark)).passAndRest
      assert.deepStrictEqual(
        receiver.received.map(({ isGenuine }) => isGenuine),
        [true]
      )
    })
  )

  it.effect("that an earlier version stored as it was goes on signing", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      const [secret, now] = [aSecret(), START]
      receiver.secrets.set("/old", Redacted.value(secret))
      yield* house.webhooks.register(aWebhook({ url: receiver.url("/old"), createdAt: now, since: now }), secret)
      yield* house.pass
      yield* house.later(1)
      yield* house.raise()
      yield* house.passAndRest
      assert.deepInclude(receiver.received[0], { isGenuine: true })
    })
  )
})
