/**
 * What comes of one attempt to deliver a notice. Ten attempts over about three days: at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h,
 * 20 h and 24 h, each a little later by chance. 410 means that the receiver wants nothing any more. A webhook to which nothing came through for
 * three days is disabled; what waits for it stays.
 */
import type { WebhookEnd } from "../schemas/Webhook.ts"

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** Before the second attempt, the third, and so on. */
export const PAUSES_MS: ReadonlyArray<number> = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR
]
/** The share of a pause by which it may be longer, so that what failed together does not come back together. */
export const JITTER = 0.25
export const FAILING_MAX_MS = 72 * HOUR
/** A receiver may ask for so much patience. */
export const RETRY_AFTER_MAX_MS = 6 * HOUR

export interface Tried {
  /** From 1. */
  readonly attempt: number
  /** Of the answer; null: there was none. */
  readonly status: number | null
  /** The header `Retry-After` as it came. */
  readonly retryAfter: string | null
  /** Sent once, and no sign of anything but itself. */
  readonly isTest: boolean
  /** Since when nothing comes through to the webhook, before this attempt. */
  readonly failingSince: number | null
  readonly now: number
  /** In [0, 1). */
  readonly random01: number
}

export type Verdict =
  | { readonly _tag: "Delivered" }
  | { readonly _tag: "Again"; readonly dueAt: number; readonly disableFor: WebhookEnd | null }
  | { readonly _tag: "Failed"; readonly disableFor: WebhookEnd | null }

export const verdictOn = (tried: Tried): Verdict => {
  const { attempt, status, isTest, failingSince, now, random01 } = tried
  if (status !== null && status >= 200 && status < 300) return { _tag: "Delivered" }
  if (status === 410) return { _tag: "Failed", disableFor: "gone" }
  if (isTest) return { _tag: "Failed", disableFor: null }
  const disableFor = failingSince !== null && now - failingSince >= FAILING_MAX_MS ? ("failing" as const) : null
  const pause = PAUSES_MS[attempt - 1]
  if (pause === undefined) return { _tag: "Failed", disableFor }
  const jittered = Math.floor(pause * (1 + JITTER * random01))
  return { _tag: "Again", dueAt: now + Math.max(jittered, askedForMs(tried)), disableFor }
}

/** 429 and 503 may say when to come again; what is no whole number of seconds says nothing. */
const askedForMs = ({ status, retryAfter }: Tried): number => {
  if ((status !== 429 && status !== 503) || retryAfter === null || !/^\d{1,9}$/.test(retryAfter)) return 0
  return Math.min(Number(retryAfter) * SECOND, RETRY_AFTER_MAX_MS)
}
