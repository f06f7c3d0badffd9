/**
 * Where operators want to hear of incidents. A secret comes in with its webhook, sealed by the network's key, and goes out of here through
 * `Notices.take` alone: no listing and no answer of this contract holds it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { WebhookId } from "../schemas/Ids.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import type { Webhook, WebhookEnd, WebhookStanding } from "../schemas/Webhook.ts"
import type { Outage } from "./Outage.ts"

/** Of one installation. */
export const WEBHOOKS_MAX = 100

export interface Driver {
  /**
   * Afterwards it is there. The same id again changes nothing and answers with what is stored. Refused, `conflict`: another one has this URL, or
   * there are `max` already.
   */
  readonly register: (
    webhook: Webhook,
    secret: Redacted.Redacted,
    max: number
  ) => Effect.Effect<Webhook, Refusal | Outage>
  /** By age, the disabled ones too. */
  readonly list: Effect.Effect<ReadonlyArray<WebhookStanding>, Outage>
  /** Nothing is sent to it any more; what waits for it stays. Twice: the first reason and instant stay. null: there is none. */
  readonly disable: (id: WebhookId, reason: WebhookEnd, at: number) => Effect.Effect<Webhook | null, Outage>
  /** It counts no failures and what waits for it is due now; nothing changes when it is enabled already. null: there is none. */
  readonly enable: (id: WebhookId, at: number) => Effect.Effect<Webhook | null, Outage>
  /** Afterwards neither it nor its notices are there. False: there is none. */
  readonly remove: (id: WebhookId) => Effect.Effect<boolean, Outage>
}

export class Webhooks extends Context.Service<
  Webhooks,
  {
    readonly register: (webhook: Webhook, secret: Redacted.Redacted) => Effect.Effect<Webhook, Refusal | Outage>
    readonly list: Driver["list"]
    /** These refuse with `not_found`. */
    readonly disable: (id: WebhookId, reason: WebhookEnd, at: number) => Effect.Effect<Webhook, Refusal | Outage>
    readonly enable: (id: WebhookId, at: number) => Effect.Effect<Webhook, Refusal | Outage>
    readonly remove: (id: WebhookId) => Effect.Effect<void, Refusal | Outage>
  }
>()("resultity/layers/Webhooks") {}

export const webhookNotFound = refuse("not_found", "There is no such webhook.")

export const urlTaken = (id: WebhookId): Refusal =>
  refuse("conflict", `The webhook ${id} has this URL: change it, or delete it first.`, { param: "url" })

export const tooMany = (max: number): Refusal =>
  refuse("conflict", `There are ${max} webhooks, and no more may be: delete one first.`)

const found = <A>(answer: A | null): Effect.Effect<A, Refusal> =>
  answer === null ? Effect.fail(webhookNotFound) : Effect.succeed(answer)

export const make = (driver: Driver): Webhooks["Service"] =>
  Webhooks.of({
    register: Effect.fn("Webhooks.register")((webhook, secret) => driver.register(webhook, secret, WEBHOOKS_MAX)),
    list: driver.list,
    disable: Effect.fn("Webhooks.disable")((id, reason, at) => Effect.flatMap(driver.disable(id, reason, at), found)),
    enable: Effect.fn("Webhooks.enable")((id, at) => Effect.flatMap(driver.enable(id, at), found)),
    remove: Effect.fn("Webhooks.remove")((id) =>
      Effect.flatMap(driver.remove(id), (removed) => (removed ? Effect.void : Effect.fail(webhookNotFound)))
    )
  })
