/** The sender of webhooks over real connections, and in memory: the same suite. */
import { Effect } from "effect"
import * as MemoryWebhookSender from "../../src/layers/memory/MemoryWebhookSender.ts"
import * as HttpWebhookSender from "../../src/layers/outbound/HttpWebhookSender.ts"
import { silence, status, WebhookReceiver } from "../support/WebhookReceiver.ts"
import { type Counterpart, webhookSenderContract } from "./contracts/WebhookSender.contract.ts"

const overHttp: Effect.Effect<Counterpart, never, Effect.Services<typeof WebhookReceiver.start>> = Effect.map(
  WebhookReceiver.start,
  (receiver) => ({
    url: receiver.url("/hook"),
    answerWith: (code, headers) => void receiver.answers.set("/hook", code === null ? silence : status(code, headers)),
    taken: () => receiver.received.map(({ headers, text }) => ({ headers, body: text })),
    untilTaken: receiver.until(() => receiver.received.length > 0)
  })
)
const rules = { schemes: ["https", "http"], ranges: ["127.0.0.1"] } as const
webhookSenderContract("HTTP", HttpWebhookSender.layer(rules), overHttp)

const state = MemoryWebhookSender.makeState()
const inMemory = Effect.sync((): Counterpart => {
  const before = state.sent.length
  const answer = (status: number, headers: Record<string, string> = {}) =>
    Effect.succeed({ _tag: "Answered", status, retryAfter: headers["retry-after"] ?? null } as const)
  state.answer = () => answer(204)
  return {
    url: "https://example.com/hook",
    answerWith: (status, headers) =>
      void (state.answer = () => (status === null ? Effect.never : answer(status, headers))),
    taken: () => state.sent.slice(before),
    untilTaken: Effect.yieldNow
  }
})
webhookSenderContract("memory", MemoryWebhookSender.over(state), inMemory)
