/**
 * The names of things: a prefix that tells the kind, then 26 characters that sort by time of birth.
 *
 * A node's id is the exception: it is the EVM address of its key, so nobody hands it out and it never changes.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
const TIME_DIGITS = 10
const RANDOM_DIGITS = 16

const prefixed = (prefix: string) => Schema.String.check(Schema.isPattern(new RegExp(`^${prefix}_[a-z0-9_-]{1,64}$`)))

export const JobId = prefixed("job").pipe(Schema.brand("JobId"))
export type JobId = typeof JobId.Type
export const NamespaceId = prefixed("ns").pipe(Schema.brand("NamespaceId"))
export type NamespaceId = typeof NamespaceId.Type
export const KeyId = prefixed("key").pipe(Schema.brand("KeyId"))
export type KeyId = typeof KeyId.Type
export const DaemonId = prefixed("daemon").pipe(Schema.brand("DaemonId"))
export type DaemonId = typeof DaemonId.Type
export const SessionId = prefixed("session").pipe(Schema.brand("SessionId"))
export type SessionId = typeof SessionId.Type
export const IncidentId = prefixed("incident").pipe(Schema.brand("IncidentId"))
export type IncidentId = typeof IncidentId.Type
export const WebhookId = prefixed("webhook").pipe(Schema.brand("WebhookId"))
export type WebhookId = typeof WebhookId.Type
export const NoticeId = prefixed("notice").pipe(Schema.brand("NoticeId"))
export type NoticeId = typeof NoticeId.Type
export const WorkId = prefixed("work").pipe(Schema.brand("WorkId"))
export type WorkId = typeof WorkId.Type
export const ErasureId = prefixed("erasure").pipe(Schema.brand("ErasureId"))
export type ErasureId = typeof ErasureId.Type
export const EnvelopeId = prefixed("msg").pipe(Schema.brand("EnvelopeId"))
export type EnvelopeId = typeof EnvelopeId.Type
export const LeaseToken = prefixed("lease").pipe(Schema.brand("LeaseToken"))
export type LeaseToken = typeof LeaseToken.Type

/** The EVM address of the node's key, in lower case. */
export const NodeId = Schema.String.check(Schema.isPattern(/^0x[0-9a-f]{40}$/)).pipe(Schema.brand("NodeId"))
export type NodeId = typeof NodeId.Type

const base32 = (value: number, digits: number): string => {
  let rest = value
  let text = ""
  for (let digit = 0; digit < digits; digit++) {
    text = ALPHABET.charAt(rest % 32) + text
    rest = Math.floor(rest / 32)
  }
  return text
}

/** A fresh id of this kind. Ids of one process sort by the millisecond they were made in; within it, by chance. */
const fresh = <Id extends string>(prefix: string): Effect.Effect<Id> =>
  Effect.gen(function* () {
    const at = yield* Clock.currentTimeMillis
    let tail = ""
    for (let part = 0; part < RANDOM_DIGITS / 4; part++) {
      tail += base32(yield* Random.nextIntBetween(0, 32 ** 4 - 1), 4)
    }
    return `${prefix}_${base32(at, TIME_DIGITS)}${tail}` as Id
  })

export const freshJobId = fresh<JobId>("job")
export const freshNamespaceId = fresh<NamespaceId>("ns")
export const freshKeyId = fresh<KeyId>("key")
export const freshDaemonId = fresh<DaemonId>("daemon")
export const freshSessionId = fresh<SessionId>("session")
export const freshIncidentId = fresh<IncidentId>("incident")
export const freshWebhookId = fresh<WebhookId>("webhook")
export const freshNoticeId = fresh<NoticeId>("notice")
export const freshWorkId = fresh<WorkId>("work")
export const freshErasureId = fresh<ErasureId>("erasure")
export const freshEnvelopeId = fresh<EnvelopeId>("msg")

/** The lease of an attempt follows from it, so whoever takes an attempt over can give its slot back. */
export const leaseTokenOf = (jobId: JobId, attempt: number): LeaseToken =>
  LeaseToken.make(`lease_${jobId.slice("job_".length)}-${attempt}`)

/** The attempt that a lease was taken for; null when no attempt has such a token. */
export const attemptOfLease = (token: LeaseToken): { readonly jobId: JobId; readonly attempt: number } | null => {
  const [, job, attempt] = /^lease_(.+)-([1-9][0-9]*)$/.exec(token) ?? []
  return job === undefined ? null : { jobId: JobId.make(`job_${job}`), attempt: Number(attempt) }
}
