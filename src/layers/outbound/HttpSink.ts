/**
 * Finished jobs to a receiver over HTTP: each file is the body of one POST, and stands there once the receiver answered with 200 to 299. It goes where
 * webhooks may go and nowhere else. The same file may come again, under the same name: what is new in it is for the receiver to know by the jobs' ids.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { JobSink } from "../JobSinks.ts"
import { Outage } from "../Outage.ts"
import type { Driver, SendOutcome } from "../WebhookSender.ts"
import * as HttpWebhookSender from "./HttpWebhookSender.ts"

/** The options name a URL that nothing may be sent to. */
export class SinkForbidden extends Data.TaggedError("SinkForbidden")<{ readonly url: string; readonly why: string }> {
  override get message(): string {
    return `--sinks (RESULTITY_SINKS): ${this.url} ${this.why}; --webhook-schemes and --webhook-ranges say what is allowed`
  }
}

/** From the first look at the name to the end of the answer. */
const PUT_MAX = "60 seconds"

/** @param token sent as Bearer; null: none */
export const make = (
  url: string,
  token: Redacted.Redacted | null,
  sender: Driver
): Effect.Effect<JobSink, SinkForbidden> => {
  const why = sender.objection(url)
  if (why !== null) return Effect.fail(new SinkForbidden({ url, why }))
  const headersOf = (name: string) => ({
    "content-type": "application/x-ndjson",
    "user-agent": "resultity-sink/1",
    "x-resultity-file": name,
    ...(token === null ? {} : { authorization: `Bearer ${Redacted.value(token)}` })
  })
  return Effect.succeed({
    name: url,
    put: (name, bytes) =>
      sender.send({ url, headers: headersOf(name), body: Buffer.from(bytes).toString("utf8") }).pipe(
        Effect.timeoutOrElse({ duration: PUT_MAX, orElse: () => Effect.succeed(late) }),
        Effect.flatMap((outcome) => (isTaken(outcome) ? Effect.void : Effect.fail(outageOf(outcome))))
      )
  })
}

export const over = (url: string, token: Redacted.Redacted | null, rules: HttpWebhookSender.OutboundRules) =>
  make(url, token, HttpWebhookSender.driver(rules))

const late: SendOutcome = { _tag: "Unsent", why: `no whole answer within ${PUT_MAX}` }

const isTaken = (outcome: SendOutcome): boolean =>
  outcome._tag === "Answered" && outcome.status >= 200 && outcome.status < 300

const outageOf = (outcome: SendOutcome): Outage =>
  new Outage({
    of: "JobSinks",
    during: "put",
    cause: new Error(outcome._tag === "Answered" ? `status ${outcome.status}` : outcome.why)
  })
