/**
 * Jobs in memory: what each move needs and what it leaves behind, as plainly as it can be said. A guard that does not hold is an answer; what
 * no caller may ask for (an illegal move, a charge above the reservation) is a defect. Nothing is written before everything is decided.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { toDecimal } from "../../schemas/Credits.ts"
import type { DaemonId } from "../../schemas/Ids.ts"
import { laneOf } from "../../schemas/Job.ts"
import type { JobEvent } from "../../schemas/JobEvent.ts"
import { isLegal, isTerminal, type JobRow } from "../../schemas/JobState.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import {
  type Admission,
  type Admitted,
  type Claim,
  type Claimed,
  type Driver,
  type Finish,
  type Guarded,
  JobStore,
  make,
  queuedRow,
  type Release,
  WITHDRAWN
} from "../JobStore.ts"
import * as MemoryCredits from "./MemoryCredits.ts"
import { type Account, isAlive, MemoryState, putMessage, type State, type StoredJob } from "./MemoryState.ts"

const driver = (state: State): Driver => ({
  admit: (admission) => Effect.suspend(() => admit(state, admission)),
  claim: (asked) => Effect.sync(() => claim(state, asked)),
  release: (asked) => Effect.sync(() => release(state, asked)),
  finish: (asked) => Effect.sync(() => finish(state, asked)),
  get: (jobId) => Effect.sync(() => state.jobs.get(jobId)?.row ?? null),
  events: (jobId) => Effect.sync(() => [...(state.jobs.get(jobId)?.events ?? [])]),
  forgetTags: (jobIds) =>
    Effect.sync(() => {
      for (const stored of jobIds.flatMap((jobId) => state.jobs.get(jobId) ?? [])) {
        if (isTerminal(stored.row.state)) stored.row = { ...stored.row, job: { ...stored.row.job, clientTag: null } }
      }
    })
})

const admit = (state: State, admission: Admission): Effect.Effect<Admitted, Refusal> => {
  const { job, envelope, idempotency } = admission
  const known = state.jobs.get(job.id)
  if (known !== undefined) return Effect.succeed({ row: known.row, created: false })
  const account = state.accounts.get(job.namespaceId)
  if (account === undefined) return Effect.fail(refuse("not_found", "There is no such namespace."))
  const remembered = idempotency === null ? undefined : account.remembered.get(idempotency.key)
  const first = remembered === undefined ? undefined : state.jobs.get(remembered.jobId)
  const isKnown = remembered !== undefined && remembered.expiresAt > job.acceptedAt
  if (idempotency !== null && isKnown && first?.row.errorCode !== WITHDRAWN) {
    return first === undefined || remembered.bodyHash !== idempotency.bodyHash
      ? Effect.fail(refuse("idempotency_mismatch", "This idempotency key was used with another request body."))
      : Effect.succeed({ row: first.row, created: false })
  }
  const objection = objectionToAdmission(admission, account)
  if (objection !== null) return Effect.fail(objection)

  const row = queuedRow(job)
  MemoryCredits.reserve(state, account, job)
  const admitted = { kind: "admitted", from: null, daemonId: null, code: null, at: job.acceptedAt } as const
  state.jobs.set(job.id, { account, row, events: [eventOf(row, 1, admitted)] })
  account.open.add(job.id)
  putMessage(state, { id: envelope.id, target: laneTarget(row), envelope, createdAt: row.runAt }, row.runAt)
  if (idempotency !== null) account.remembered.set(idempotency.key, { ...idempotency, jobId: job.id })
  return Effect.succeed({ row, created: true })
}

const objectionToAdmission = ({ job, openJobsMax }: Admission, { open, balance }: Account): Refusal | null => {
  if (open.size >= openJobsMax) {
    return refuse("overloaded", `The namespace has ${open.size} unfinished jobs and may have ${openJobsMax}.`)
  }
  if (balance.available < job.reserved) {
    const [needed, available] = [toDecimal(job.reserved), toDecimal(balance.available)]
    return refuse("insufficient_credits", `The request needs ${needed} credits and ${available} are available.`)
  }
  return null
}

const claim = (state: State, asked: Claim): Claimed => {
  const stored = state.jobs.get(asked.jobId)
  if (stored === undefined) return { _tag: "Refused", why: "unknown", row: null }
  const { row } = stored
  const why = objectionToClaim(state, asked, row)
  if (why !== null) return { _tag: "Refused", why, row }
  const next: JobRow = {
    ...row,
    state: "active",
    owner: asked.daemonId,
    epoch: row.epoch + 1,
    attempt: row.attempt + (asked.nodeId === null ? 0 : 1),
    failures: asked.failures,
    crashes: row.crashes + (asked.crashed ? 1 : 0),
    nodeId: asked.nodeId ?? row.nodeId
  }
  const kind = asked.nodeId === null ? "adopted" : "claimed"
  save(stored, next, { kind, daemonId: asked.daemonId, code: null, at: asked.at })
  return { _tag: "Claimed", row: next }
}

const objectionToClaim = (state: State, asked: Claim, row: JobRow): "ended" | "owned" | "dead" | "epoch" | null => {
  if (isTerminal(row.state)) return "ended"
  if (!isAlive(state, asked.daemonId)) return "dead"
  const givesWay = row.owner === null || row.owner === asked.daemonId || row.owner === asked.from
  if (!givesWay && isAlive(state, row.owner)) return "owned"
  return row.epoch === asked.epochSeen ? null : "epoch"
}

const release = (state: State, asked: Release): Guarded => {
  const stored = state.jobs.get(asked.jobId)
  if (stored === undefined) return { _tag: "Stale", row: null }
  const { row } = stored
  const next: JobRow = { ...row, state: "queued", owner: null, runAt: asked.runAt }
  const note = { kind: "released", daemonId: asked.daemonId, code: asked.code, at: asked.at } as const
  if (isRepeat(stored, asked.epoch, note) && row.runAt === next.runAt) return { _tag: "Repeated", row }
  if (!isHeld(state, row, asked.daemonId, asked.epoch)) return { _tag: "Stale", row }
  save(stored, next, note)
  const { envelope, at } = asked
  putMessage(state, { id: envelope.id, target: laneTarget(next), envelope, createdAt: at }, asked.runAt)
  return { _tag: "Done", row: next }
}

const finish = (state: State, asked: Finish): Guarded => {
  const stored = state.jobs.get(asked.jobId)
  if (stored === undefined) return { _tag: "Stale", row: null }
  const { row, account } = stored
  const { job } = row
  if (asked.charge > job.reserved) {
    throw new Error(`the charge ${asked.charge} for ${job.id} is above its reservation ${job.reserved}`)
  }
  const note = { kind: "finished", daemonId: asked.daemonId, code: asked.code, at: asked.at } as const
  const repeats = isRepeat(stored, asked.epoch, note) && row.state === asked.state && row.charged === asked.charge
  if (repeats) return { _tag: "Repeated", row }
  if (!mayFinish(state, asked, row)) return { _tag: "Stale", row }
  if (!isLegal(row.state, asked.state)) throw new Error(`${job.id} cannot go from ${row.state} to ${asked.state}`)
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
  MemoryCredits.close(state, account, job, asked.charge, asked.at)
  save(stored, next, note)
  account.open.delete(job.id)
  const { envelope, at } = asked
  putMessage(state, { id: envelope.id, target: { _tag: "Topic", topic: "job" }, envelope, createdAt: at }, at)
  return { _tag: "Done", row: next }
}

const mayFinish = (state: State, { daemonId, epoch }: Finish, row: JobRow): boolean =>
  daemonId === null ? row.state === "queued" && row.epoch === epoch : isHeld(state, row, daemonId, epoch)

/** Active under this owner and epoch, and the owner was not declared dead meanwhile. */
const isHeld = (state: State, row: JobRow, daemonId: DaemonId, epoch: number): boolean =>
  row.state === "active" && row.owner === daemonId && row.epoch === epoch && isAlive(state, daemonId)

/** What a move tells beside the row that it leaves. */
type Note = Pick<JobEvent, "kind" | "daemonId" | "code" | "at">

/** Only a claim raises the epoch, so the last event tells whether this very call was the last one. */
const isRepeat = ({ events }: StoredJob, epoch: number, note: Note): boolean => {
  const latest = events.at(-1)
  return (
    latest?.epoch === epoch &&
    latest.kind === note.kind &&
    latest.daemonId === note.daemonId &&
    latest.code === note.code &&
    latest.at === note.at
  )
}

const save = (stored: StoredJob, next: JobRow, note: Note): void => {
  stored.events.push(eventOf(next, stored.events.length + 1, { ...note, from: stored.row.state }))
  stored.row = next
}

const eventOf = (row: JobRow, seq: number, note: Note & Pick<JobEvent, "from">): JobEvent => ({
  jobId: row.job.id,
  seq,
  to: row.state,
  epoch: row.epoch,
  attempt: row.attempt,
  nodeId: row.nodeId,
  ...note
})

const laneTarget = ({ job }: JobRow) => ({ _tag: "Lane", lane: laneOf(job) }) as const

export const layer: Layer.Layer<JobStore, never, MemoryState> = Layer.effect(
  JobStore,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
