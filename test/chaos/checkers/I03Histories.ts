/**
 * I3: every accepted job ends in exactly one terminal state, by legal moves and a gap-free history; what a client was told of it is true: accepted
 * is there, one key is one job, cancelled is cancelled, refused has left nothing.
 */
import type { StoredJob } from "../../../src/layers/memory/MemoryState.ts"
import { isLegal, isTerminal } from "../../../src/schemas/JobState.ts"
import type { Checker, ClientLog, Scene } from "../support/History.ts"

export const I03: Checker = {
  name: "I03",
  atEnd: (scene) => [
    ...[...scene.state.jobs.values()].flatMap((stored) => historyProblems(stored, scene)),
    ...scene.history.clients.flatMap((client) => promiseProblems(client, scene))
  ]
}

const historyProblems = ({ row, events }: StoredJob, { isStranded }: Scene): ReadonlyArray<string> => {
  const { id } = row.job
  const found: Array<string> = []
  for (const [at, event] of events.entries()) {
    const before = events[at - 1]
    if (event.seq !== at + 1) found.push(`${id}: event ${event.seq} stands at ${at + 1}`)
    if (event.from !== (before?.to ?? null)) found.push(`${id}: event ${event.seq} comes from ${event.from}`)
    if (event.from !== null && !isLegal(event.from, event.to)) found.push(`${id}: ${event.from} → ${event.to}`)
    if (before !== undefined && event.epoch < before.epoch)
      found.push(`${id}: epoch ${event.epoch} after ${before.epoch}`)
    if (before !== undefined && event.attempt > before.attempt + 1)
      found.push(`${id}: attempt ${event.attempt} left one out`)
  }
  const ends = events.filter(({ to }) => isTerminal(to)).length
  if (isStranded(row)) return found
  if (!isTerminal(row.state)) found.push(`${id}: is ${row.state} and has no end`)
  else if (ends !== 1) found.push(`${id}: ends ${ends} times`)
  if (events.at(-1)?.to !== row.state) found.push(`${id}: is ${row.state}, its history says ${events.at(-1)?.to}`)
  return found
}

const promiseProblems = (
  { accepted, cancelled, request, readers, faults }: ClientLog,
  { state, isStranded }: Scene
): ReadonlyArray<string> => {
  const found: Array<string> = faults.map((fault) => `${accepted[0] ?? "a job"}: ${fault}`)
  const jobs = new Set(accepted)
  for (const jobId of jobs) if (!state.jobs.has(jobId)) found.push(`${jobId} was accepted and is not there`)
  if (request.idempotencyKey !== null && jobs.size > 1)
    found.push(`${request.idempotencyKey} is ${[...jobs].join(" and ")}`)
  const first = accepted[0]
  if (first === undefined) return found
  const row = state.jobs.get(first)?.row
  if (row !== undefined && isStranded(row)) return found
  if (cancelled && row?.state !== "cancelled") found.push(`${first} was cancelled and is ${row?.state}`)
  for (const reader of readers) {
    if (reader.row === null) found.push(`${first}: a reader was never told of the end`)
    else if (reader.row.state !== row?.state)
      found.push(`${first}: a reader was told ${reader.row.state}, it is ${row?.state}`)
  }
  return found
}
