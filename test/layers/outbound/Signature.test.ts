/** Signatures against the vector that libraries of Standard Webhooks are tested with, and against what our own page tells receivers to write. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { newSecret, signatureOf } from "../../../src/layers/WebhookSender.ts"
import { ROOT } from "../../support/Process.ts"

it("A signature is that of the specification's libraries for their test vector", () => {
  const secret = Redacted.make("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
  assert.strictEqual(
    signatureOf(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, '{"test": 2432232314}'),
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
  )
})

it.live("A receiver that does what our page says takes what is genuine and fresh, and nothing else", () =>
  Effect.gen(function* () {
    const page = readFileSync(join(ROOT, "docs/operations/webhooks.md"), "utf8")
    const code = /```js\n([\s\S]*?)```/.exec(page)?.[1] ?? ""
    const { isGenuine } = yield* Effect.promise(
      () => import(`data:text/javascript,${encodeURIComponent(code)}`) as Promise<Record<"isGenuine", Function>>
    )
    const secret = yield* newSecret
    const plain = Redacted.value(secret)
    const now = Math.floor(Date.now() / 1000)
    const [id, body] = ["notice_1", '{"type":"é"}']
    const headers = (seconds: number, signature = signatureOf(secret, id, seconds, body)) => ({
      "webhook-id": id,
      "webhook-timestamp": String(seconds),
      "webhook-signature": signature
    })
    assert.isTrue(isGenuine(plain, headers(now), body))
    assert.isTrue(isGenuine(plain, headers(now, `v1,AAAA v2,x ${headers(now)["webhook-signature"]}`), body))
    assert.isFalse(isGenuine(plain, headers(now), `${body} `))
    assert.isFalse(isGenuine(plain, { ...headers(now), "webhook-id": "notice_2" }, body))
    assert.isFalse(isGenuine(plain, headers(now - 400), body))
    assert.isFalse(isGenuine(plain, headers(Number.NaN), body))
    assert.isFalse(isGenuine(Redacted.value(yield* newSecret), headers(now), body))
  })
)
