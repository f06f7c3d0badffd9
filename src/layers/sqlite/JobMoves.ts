/**
 * The guarded moves of a job's row after its admission, each inside one transaction. A guard compares state, owner, epoch and whether the caller
 * still lives; one that does not hold is an answer. A move that no caller may ask for (an illegal one, a charge above the reservation) throws.
 */
import * as Result from "effect/Result"
import type { DaemonId } from "../../schemas/Ids.ts"
import { laneOf } from "../../schemas/Job.ts"
import { isLegal, isTerminal, type JobRow } from "../../schemas/JobState.ts"
import type { Claim, Claimed, Finish, Guarded, Release } from "../JobStore.ts"
import { closeReservation } from "./CreditRows.ts"
import { eventsOf, findRow, saveRow } from "./JobRows.ts"
import { putOutboxRow } from "./OutboxRows.ts"
import type { Sql } from "./Statements.ts"

const isAlive = (sql: Sql, daemonId: DaemonId): boolean =>
  sql("SELECT 1 FROM daemon WHERE id = ? AND state = 'live'").get(daemonId) !== undefined

export const claim = (sql: Sql, asked: Claim): Result.Result<Claimed> => {
  const found = findRow(sql, asked.jobId)
  if (found === null) return Result.succeed({ _tag: "Refused", why: "unknown", row: null })
  const { row } = found
  const why = objectionTo(sql, asked, row)
  if (why !== null) return Result.succeed({ _tag: "Refused", why, row })
  const next: JobRow = {
    ...row,
    state: "active",
    owner: asked.daemonId,
    epoch: row.epoch + 1,
    attempt: asked.nodeId === null ? row.attempt : row.attempt + 1,
    failures: asked.failures,
    crashes: asked.crashed ? row.crashes + 1 : row.crashes,
    nodeId: asked.nodeId ?? row.nodeId
  }
  saveRow(sql, { row: next, events: found.events }, row.state, {
    kind: asked.nodeId === null ? "adopted" : "claimed",
    daemonId: asked.daemonId,
    code: null,
    at: asked.at
  })
  return Result.succeed({ _tag: "Claimed", row: next })
}

const objectionTo = (sql: Sql, asked: Claim, row: JobRow): "ended" | "owned" | "dead" | "epoch" | null => {
  if (isTerminal(row.state)) return "ended"
  if (!isAlive(sql, asked.daemonId)) return "dead"
  const givesWay = row.owner === null || row.owner === asked.daemonId || row.owner === asked.from
  if (!givesWay && isAlive(sql, row.owner)) return "owned"
  return row.epoch === asked.epochSeen ? null : "epoch"
}

export const release = (sql: Sql, asked: Release): Result.Result<Guarded> => {
  const found = findRow(sql, asked.jobId)
  if (found === null) return stale(null)
  const { row } = found
  if (isReleased(sql, asked, row)) return Result.succeed({ _tag: "Repeated", row })
  if (!isHeld(sql, row, asked.daemonId, asked.epoch)) return stale(row)
  const next: JobRow = { ...row, state: "queued", owner: null, runAt: asked.runAt }
  saveRow(sql, { row: next, events: found.events }, row.state, {
    kind: "released",
    daemonId: asked.daemonId,
    code: asked.code,
    at: asked.at
  })
  const target = { _tag: "Lane", lane: laneOf(row.job) } as const
  putOutboxRow(sql, { id: asked.envelope.id, target, envelope: asked.envelope, createdAt: asked.at }, asked.runAt)
  return Result.succeed({ _tag: "Done", row: next })
}

/** Only a claim raises the epoch, so a queued row with an epoch was released from it; by whom, its last event tells. */
const isReleased = (sql: Sql, asked: Release, row: JobRow): boolean =>
  row.state === "queued" &&
  row.epoch === asked.epoch &&
  row.runAt === asked.runAt &&
  eventsOf(sql, asked.jobId).at(-1)?.daemonId === asked.daemonId

export const finish = (sql: Sql, asked: Finish): Result.Result<Guarded> => {
  const found = findRow(sql, asked.jobId)
  if (found === null) return stale(null)
  const { row } = found
  if (asked.charge > row.job.reserved) {
    throw new Error(`the charge ${asked.charge} for ${asked.jobId} is above its reservation ${row.job.reserved}`)
  }
  if (row.state === asked.state && row.epoch === asked.epoch) return Result.succeed({ _tag: "Repeated", row })
  if (!mayFinish(sql, asked, row)) return stale(row)
  if (!isLegal(row.state, asked.state)) throw new Error(`${asked.jobId} cannot go from ${row.state} to ${asked.state}`)
  const next: JobRow = {
    ...row,
    state: asked.state,
    owner: null,
    nodeId: asked.nodeId ?? row.nodeId,
    usage: asked.usage,
    charged: asked.charge,
    errorCode: asked.code,
    finishedAt: asked.at
  }
  saveRow(sql, { row: next, events: found.events }, row.state, {
    kind: "finished",
    daemonId: asked.daemonId,
    code: asked.code,
    at: asked.at
  })
  const { id, namespaceId, reserved } = row.job
  closeReservation(sql, { jobId: id, namespaceId, reserved, at: asked.at }, asked.charge)
  const { envelope, at } = asked
  putOutboxRow(sql, { id: envelope.id, target: { _tag: "Topic", topic: "job" }, envelope, createdAt: at }, at)
  return Result.succeed({ _tag: "Done", row: next })
}

const mayFinish = (sql: Sql, asked: Finish, row: JobRow): boolean =>
  asked.daemonId === null
    ? row.state === "queued" && row.epoch === asked.epoch
    : isHeld(sql, row, asked.daemonId, asked.epoch)

/** Active under this owner and epoch, and the owner was not declared dead meanwhile. */
const isHeld = (sql: Sql, row: JobRow, daemonId: DaemonId, epoch: number): boolean =>
  row.state === "active" && row.owner === daemonId && row.epoch === epoch && isAlive(sql, daemonId)

const stale = (row: JobRow | null): Result.Result<Guarded> => Result.succeed({ _tag: "Stale", row })
