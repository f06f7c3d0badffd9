/**
 * One request to one receiver, signed as Standard Webhooks 1.0 says (https://www.standardwebhooks.com): the headers `webhook-id`, `webhook-timestamp`
 * and `webhook-signature`, the last of them an HMAC-SHA256 over `id.timestamp.body`. What comes of it is a value: a receiver that does not answer is
 * no outage of ours. Where requests may go is for the back end to say, and it looks again at each of them.
 */
import { createHmac, randomBytes } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

export type SendOutcome =
  | { readonly _tag: "Answered"; readonly status: number; readonly retryAfter: string | null }
  /** In a few words that name no secret: `ECONNREFUSED`, `no whole answer within 20 s`. */
  | { readonly _tag: "Unsent"; readonly why: string }

export interface SignedRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Driver {
  /** Why requests to this URL are never sent, as far as it can be told without asking for its name's address; null: they may be. */
  readonly objection: (url: string) => string | null
  /** Follows no redirect. Of the answer's body nothing is kept. Ends its connection when it is interrupted. */
  readonly send: (request: SignedRequest) => Effect.Effect<SendOutcome>
}

export interface Message {
  readonly url: string
  readonly secret: Redacted.Redacted
  readonly id: string
  /** Of this attempt, epoch milliseconds. */
  readonly at: number
  readonly body: string
}

export class WebhookSender extends Context.Service<
  WebhookSender,
  {
    readonly objection: Driver["objection"]
    readonly send: (message: Message) => Effect.Effect<SendOutcome>
  }
>()("resultity/layers/WebhookSender") {}

/** From the first look at the name to the end of the answer. */
export const SEND_SECONDS_MAX = 20

const PREFIX = "whsec_"
const SECRET_BYTES = 32

/** `whsec_` and 32 random bytes in base64. */
export const newSecret: Effect.Effect<Redacted.Redacted> = Effect.sync(() =>
  Redacted.make(`${PREFIX}${randomBytes(SECRET_BYTES).toString("base64")}`)
)

/** The key is what stands behind the prefix, decoded. */
export const signatureOf = (secret: Redacted.Redacted, id: string, seconds: number, body: string): string => {
  const key = Buffer.from(Redacted.value(secret).slice(PREFIX.length), "base64")
  return `v1,${createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64")}`
}

const signed = ({ url, secret, id, at, body }: Message): SignedRequest => {
  const seconds = Math.floor(at / 1000)
  return {
    url,
    body,
    headers: {
      "content-type": "application/json",
      "user-agent": "resultity-webhooks/1",
      "webhook-id": id,
      "webhook-timestamp": String(seconds),
      "webhook-signature": signatureOf(secret, id, seconds, body)
    }
  }
}

const tooLate: SendOutcome = { _tag: "Unsent", why: `no whole answer within ${SEND_SECONDS_MAX} s` }

export const make = (driver: Driver): WebhookSender["Service"] =>
  WebhookSender.of({
    objection: driver.objection,
    send: Effect.fn("WebhookSender.send")((message) =>
      Effect.suspend(() => {
        const why = driver.objection(message.url)
        return why === null ? driver.send(signed(message)) : Effect.succeed<SendOutcome>({ _tag: "Unsent", why })
      }).pipe(Effect.timeoutOrElse({ duration: `${SEND_SECONDS_MAX} seconds`, orElse: () => Effect.succeed(tooLate) }))
    )
  })
