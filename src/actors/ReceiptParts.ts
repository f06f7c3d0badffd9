/**
 * The parts of a receipt, from what is durable: the deciding row, its events, and the record while it is kept. The same sources and the same blind give
 * the same parts, so a receipt can be made again and is the same one.
 */
import { type AttemptRecord, type JobRecord, saltOf } from "../schemas/JobRecord.ts"
import type { DaemonId, JobId, NodeId } from "../schemas/Ids.ts"
import type { JobEvent } from "../schemas/JobEvent.ts"
import type { JobRow } from "../schemas/JobState.ts"
import type { ReceiptAttempt, ReceiptEvent, ReceiptParts } from "../schemas/Receipt.ts"
import { chainLink, chainStart, saltHash } from "../schemas/ReceiptHashes.ts"
import { saltedSha256 } from "../schemas/Salted.ts"

export interface Sources {
  readonly row: JobRow
  readonly events: ReadonlyArray<JobEvent>
  /** null: it is not kept any more, or never came. */
  readonly record: JobRecord | null
}

/** @param blind 32 random bytes in hexadecimal, remembered with the receipt's hash */
export const partsOf = (sources: Sources, blind: string): Required<ReceiptParts> => {
  const { row, events, record } = sources
  const salt = saltOf(record ?? {})
  const proof = row.state === "completed" ? (record?.nodeProof ?? null) : null
  const attempts = record?.routing.attempts ?? []
  const nodes = namesOf<NodeId>(
    "node",
    [...attempts, ...events].map(({ nodeId }) => nodeId)
  )
  const daemons = namesOf<DaemonId>(
    "daemon",
    events.map(({ daemonId }) => daemonId)
  )
  const output = record?.output ?? null
  const choices = output?.choices ?? []
  return {
    job: jobOf(row, salt),
    outcome: outcomeOf(sources),
    request: { sha256: record === null ? null : saltedSha256(salt, record.input.request) },
    output: { sha256: output === null ? null : saltedSha256(salt, choices), choices: choices.length },
    usage: usageOf(row),
    attempts: attempts.map((attempt) => attemptOf(attempt, nodes)),
    events: chained(
      row.job.id,
      events.map(({ seq, kind, from, to, epoch, attempt, code, at, daemonId, nodeId }) => {
        const names = { daemon: daemons.nameOf(daemonId), node: nodes.nameOf(nodeId) }
        return { seq, kind, from, to, epoch, attempt, code, at, ...names }
      })
    ),
    result: proof?.result ?? null,
    identity: { blind, nodes: nodes.all, daemons: daemons.all, session: proof?.session ?? null }
  }
}

const jobOf = ({ job }: JobRow, salt: string): ReceiptParts["job"] => ({
  id: job.id,
  environment: job.environment,
  endpoint: job.endpoint,
  mode: job.mode,
  model: job.model,
  priority: job.priority,
  namespace: saltedSha256(salt, job.namespaceId),
  salt: saltHash(salt)
})

const outcomeOf = ({ row, record }: Sources): ReceiptParts["outcome"] => ({
  state: row.state,
  code: row.errorCode,
  acceptedAt: row.job.acceptedAt,
  deadlineAt: row.job.deadlineAt,
  firstTokenMs: record?.system.firstTokenMs ?? null,
  finishedAt: row.finishedAt ?? row.job.acceptedAt,
  record: record === null ? "missing" : record.completeness === "complete" ? "complete" : "truncated"
})

const attemptOf = (attempt: AttemptRecord, nodes: Names<NodeId>): ReceiptAttempt => ({
  attempt: attempt.attempt,
  epoch: attempt.epoch,
  node: nodes.nameOf(attempt.nodeId) ?? "node-1",
  state: attempt.state,
  leasedAt: attempt.leasedAt,
  endedAt: attempt.endedAt,
  cause: attempt.cause,
  firstSeq: attempt.firstSeq,
  pieces: attempt.tokens
})

const usageOf = ({ job, usage, charged }: JobRow): ReceiptParts["usage"] => ({
  promptTokens: usage.promptTokens,
  outputTokens: usage.outputTokens,
  reserved: String(job.reserved),
  charged: String(charged),
  quote: {
    version: job.quote.version,
    perPromptToken: String(job.quote.perPromptToken),
    perOutputToken: String(job.quote.perOutputToken),
    perRequest: String(job.quote.perRequest)
  }
})

const chained = (jobId: JobId, events: ReadonlyArray<Omit<ReceiptEvent, "hash">>): ReadonlyArray<ReceiptEvent> => {
  let previous = chainStart(jobId)
  return events.map((event) => {
    previous = chainLink(previous, { ...event, hash: "" })
    return { ...event, hash: previous }
  })
}

interface Names<Id> {
  readonly all: ReadonlyArray<Id>
  readonly nameOf: (id: Id | null) => string | null
}

/** Names in the order in which they are met, from 1. */
const namesOf = <Id extends string>(kind: "node" | "daemon", ids: ReadonlyArray<Id | null>): Names<Id> => {
  const all = [...new Set(ids.filter((id) => id !== null))]
  const nameOf = (id: Id | null): string | null => (id === null ? null : `${kind}-${all.indexOf(id) + 1}`)
  return { all, nameOf }
}
