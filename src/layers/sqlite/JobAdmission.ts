/**
 * The admission of one job, inside one transaction: what it was before under this id or key, or else whether it may come in, and everything
 * that its coming in writes. A refusal is found before the first write.
 */
import * as Result from "effect/Result"
import { toDecimal } from "../../schemas/Credits.ts"
import type { JobId } from "../../schemas/Ids.ts"
import { type Job, laneOf } from "../../schemas/Job.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import { type Admission, type Admitted, queuedRow, WITHDRAWN } from "../JobStore.ts"
import { type Account, findAccount, reserveCredits } from "./CreditRows.ts"
import { findRow, insertEvent, insertRow } from "./JobRows.ts"
import { putOutboxRow } from "./OutboxRows.ts"
import type { Sql } from "./Statements.ts"

export const admit = (sql: Sql, admission: Admission): Result.Result<Admitted, Refusal> => {
  const { job } = admission
  const first = findFirst(sql, admission)
  if (Result.isFailure(first)) return Result.fail(first.failure)
  if (first.success !== null) return Result.succeed({ row: first.success, created: false })
  const account = findAccount(sql, job.namespaceId)
  if (account === null) return Result.fail(refuse("not_found", "There is no such namespace."))
  const objection = objectionTo(admission, account)
  if (objection !== null) return Result.fail(objection)
  return Result.succeed({ row: write(sql, admission, account), created: true })
}

interface Remembered {
  readonly job_id: JobId
  readonly body_hash: string
}

/** The row that this submission made before, if it did. A key is remembered until it expires. */
const findFirst = (sql: Sql, { job, idempotency }: Admission): Result.Result<JobRow | null, Refusal> => {
  const same = findRow(sql, job.id)
  if (same !== null || idempotency === null) return Result.succeed(same?.row ?? null)
  const known = sql(
    "SELECT job_id, body_hash FROM idempotency_key WHERE namespace_id = ? AND key = ? AND expires_at > ?"
  ).get(job.namespaceId, idempotency.key, job.acceptedAt) as Remembered | undefined
  if (known === undefined) return Result.succeed(null)
  const first = findRow(sql, known.job_id)?.row ?? null
  if (first?.errorCode === WITHDRAWN) return Result.succeed(null)
  return known.body_hash === idempotency.bodyHash
    ? Result.succeed(first)
    : Result.fail(
        refuse(
          "idempotency_mismatch",
          "This idempotency key was used with another request body. Use a new key for a new request."
        )
      )
}

const objectionTo = ({ job, openJobsMax }: Admission, { openJobs, balance }: Account): Refusal | null => {
  if (openJobs >= openJobsMax) {
    return refuse(
      "overloaded",
      `The namespace has ${openJobs} unfinished jobs and may have ${openJobsMax}. Wait until some of them end.`
    )
  }
  if (balance.available < job.reserved) {
    return refuse(
      "insufficient_credits",
      `The request needs ${toDecimal(job.reserved)} credits and ${toDecimal(balance.available)} are available. ` +
        "Ask for fewer output tokens, or add credits."
    )
  }
  return null
}

const write = (sql: Sql, { job, envelope, idempotency }: Admission, account: Account): JobRow => {
  const at = job.acceptedAt
  const row = queuedRow(job)
  insertRow(sql, row)
  insertEvent(sql, {
    jobId: job.id,
    seq: 1,
    kind: "admitted",
    from: null,
    to: "queued",
    epoch: 0,
    attempt: 0,
    daemonId: null,
    nodeId: null,
    code: null,
    at
  })
  reserveCredits(sql, account, { namespaceId: job.namespaceId, jobId: job.id, reserved: job.reserved, at })
  putOutboxRow(sql, { id: envelope.id, target: { _tag: "Lane", lane: laneOf(job) }, envelope, createdAt: at }, at)
  if (idempotency !== null) remember(sql, job, idempotency)
  return row
}

/** Each new key carries two expired ones out, so the table does not grow with time. */
const remember = (sql: Sql, job: Job, { key, bodyHash, expiresAt }: NonNullable<Admission["idempotency"]>): void => {
  sql(`DELETE FROM idempotency_key WHERE (namespace_id, key) IN
    (SELECT namespace_id, key FROM idempotency_key WHERE expires_at <= ? ORDER BY expires_at LIMIT 2)`).run(
    job.acceptedAt
  )
  sql(`INSERT INTO idempotency_key (namespace_id, key, body_hash, job_id, expires_at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (namespace_id, key) DO UPDATE SET body_hash = excluded.body_hash, job_id = excluded.job_id,
      expires_at = excluded.expires_at`).run(job.namespaceId, key, bodyHash, job.id, expiresAt)
}
