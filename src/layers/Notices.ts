/**
 * Messages on their way to webhooks, at least once each. Whoever delivers one takes it first, for so long; who dies with it in hand loses nothing,
 * because it is due again then. An attempt that was overtaken so may still say that it delivered, but no longer that it failed.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { NoticeId, WebhookId } from "../schemas/Ids.ts"
import type { Notice, Webhook, WebhookEnd } from "../schemas/Webhook.ts"
import type { Outage } from "./Outage.ts"

export interface PlannedNotice extends Pick<Notice, "id" | "webhookId" | "type" | "incidentId" | "createdAt"> {
  readonly body: string
}

export interface TakenNotice {
  /** With this attempt counted. */
  readonly notice: Notice
  readonly body: string
  readonly webhook: Webhook
  /** As it was registered: sealed. */
  readonly secret: Redacted.Redacted
}

export type NoticeOutcome =
  | { readonly _tag: "Delivered" }
  | { readonly _tag: "Again"; readonly dueAt: number; readonly error: string }
  | { readonly _tag: "Failed"; readonly error: string }

export interface NoticeReport {
  readonly id: NoticeId
  /** Which attempt this tells of. */
  readonly attempt: number
  readonly outcome: NoticeOutcome
  /** Whether a failure counts against the webhook. */
  readonly counts: boolean
  readonly disableFor: WebhookEnd | null
  readonly at: number
}

export interface Driver {
  /** Afterwards each is there, due at its creation; one that was known stays as it is, and one whose webhook is gone is left out. How many were new. */
  readonly plan: (notices: ReadonlyArray<PlannedNotice>) => Effect.Effect<number, Outage>
  /** Due ones of an enabled webhook, at most `max`, the longest due first in line. Nobody else gets them before `until`. */
  readonly take: (
    webhookId: WebhookId,
    now: number,
    until: number,
    max: number
  ) => Effect.Effect<ReadonlyArray<TakenNotice>, Outage>
  /**
   * In one step for notice and webhook. `Delivered` always counts and ends the webhook's row of failures; anything else counts only when the notice
   * is pending with this very attempt. False: nothing changed.
   */
  readonly report: (report: NoticeReport) => Effect.Effect<boolean, Outage>
  /** Newest first. */
  readonly list: (webhookId: WebhookId, limit: number) => Effect.Effect<ReadonlyArray<Notice>, Outage>
  /** Takes out what was done before this instant, at most `max`. How many. */
  readonly forget: (before: number, max: number) => Effect.Effect<number, Outage>
}

export class Notices extends Context.Service<Notices, Driver>()("resultity/layers/Notices") {}

export const make = (driver: Driver): Notices["Service"] =>
  Notices.of({
    plan: (notices) => (notices.length === 0 ? Effect.succeed(0) : driver.plan(notices)),
    take: (webhookId, now, until, max) =>
      max <= 0 ? Effect.succeed([]) : Effect.suspend(() => driver.take(webhookId, now, until, max)),
    report: driver.report,
    list: Effect.fn("Notices.list")(driver.list),
    forget: driver.forget
  })
