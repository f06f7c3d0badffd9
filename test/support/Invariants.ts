/**
 * The invariants of the runtime, read from outside: from an operator's views of one daemon once all its jobs are over. Every finding is a
 * sentence; no finding means that all hold.
 */
import type { JobEvent } from "../../src/schemas/JobEvent.ts"
import type { JobRecord } from "../../src/schemas/JobRecord.ts"
import { isLegal, isTerminal, type JobState } from "../../src/schemas/JobState.ts"
import { type Daemon, look, micro } from "./Daemon.ts"
import { until } from "./Until.ts"

/** An operator's view of a job, with credits as decimal strings. */
export interface ControlJob {
  readonly row: {
    readonly state: JobState
    readonly owner: string | null
    readonly attempt: number
    readonly epoch: number
    readonly crashes: number
    readonly failures: number
    readonly charged: string
    readonly errorCode: string | null
    readonly usage: { readonly promptTokens: number; readonly outputTokens: number }
    readonly job: { readonly id: string; readonly reserved: string; readonly namespaceId: string }
  }
  readonly events: ReadonlyArray<JobEvent>
  readonly record: JobRecord | null
}

interface Entry {
  readonly seq: number
  readonly jobId: string | null
  readonly kind: string
}

interface Line {
  readonly jobId: string
  readonly state: JobState
}

export const controlJob = (daemon: Daemon, jobId: string): Promise<ControlJob> => look(daemon, `/control/jobs/${jobId}`)

/** Every job there is, by pages. */
export const allJobs = async (daemon: Daemon, query = ""): Promise<ReadonlyArray<Line>> => {
  const found: Array<Line> = []
  let cursor: string | null = ""
  while (cursor !== null) {
    const after = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`
    const page: { data: ReadonlyArray<Line>; nextCursor: string | null } = await look(
      daemon,
      `/control/jobs?limit=100${query}${after}`
    )
    found.push(...page.data)
    cursor = page.nextCursor
  }
  return found
}

const namespaceIds = async (daemon: Daemon): Promise<ReadonlyArray<string>> => {
  const { data } = await look<{ data: ReadonlyArray<{ id: string }> }>(daemon, "/control/namespaces")
  return data.map(({ id }) => id)
}

/** Waits until no job is on its way any more. */
export const allEnded = (daemon: Daemon, withinMs?: number): Promise<boolean> =>
  until(
    "all jobs to end",
    async () => {
      for (const id of await namespaceIds(daemon)) {
        const { openJobs } = await look<{ openJobs: number }>(daemon, `/control/namespaces/${id}`)
        if (openJobs > 0) return false
      }
      return true
    },
    withinMs
  )

/** I1, I2, I3 and the records, for all jobs of all namespaces. */
export const findings = async (daemon: Daemon): Promise<ReadonlyArray<string>> => {
  const jobs: Array<ControlJob> = []
  for (const { jobId } of await allJobs(daemon)) jobs.push(await controlJob(daemon, jobId))
  const money: Array<string> = []
  for (const id of await namespaceIds(daemon)) money.push(...(await moneyFindings(daemon, id, jobs)))
  return [...jobs.flatMap(jobFindings), ...money]
}

const jobFindings = ({ row, events, record }: ControlJob): ReadonlyArray<string> => {
  const found: Array<string> = []
  const say = (what: string) => void found.push(`${row.job.id} (${row.state}): ${what}`)
  if (!isTerminal(row.state)) say("has not ended")
  if (row.owner !== null) say(`still has the owner ${row.owner}`)
  let state: JobState | null = null
  for (const [at, event] of events.entries()) {
    if (event.seq !== at + 1) say(`event ${at + 1} of its history has number ${event.seq}`)
    if (event.from !== state) say(`event ${event.seq} goes from ${event.from}, but it was ${state}`)
    if (state !== null && !isLegal(state, event.to)) say(`moved from ${state} to ${event.to}`)
    state = event.to
  }
  if (state !== row.state) say(`its history ends in ${state}`)
  const ends = events.filter(({ to }) => isTerminal(to)).length
  if (ends !== 1) say(`ended ${ends} times`)
  if (micro(row.charged) > micro(row.job.reserved)) say(`charged ${row.charged} of ${row.job.reserved}`)
  if (row.state !== "completed" && row.state !== "cancelled" && micro(row.charged) !== 0n) {
    say(`charged ${row.charged} though it brought nothing`)
  }
  if (record === null) say("has no record")
  else if (record.completeness === "open") say("has a record that is open")
  else if (record.completeness === "truncated" && record.truncatedReason === null) say("is truncated without a reason")
  else if (record.state !== row.state) say(`its record says ${record.state}`)
  return found
}

const moneyFindings = async (
  daemon: Daemon,
  namespaceId: string,
  jobs: ReadonlyArray<ControlJob>
): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  const { balance } = await look<{ balance: Record<"granted" | "available" | "reserved" | "spent", string> }>(
    daemon,
    `/control/namespaces/${namespaceId}/balance`
  )
  const { granted, available, reserved, spent } = balance
  if (micro(granted) !== micro(available) + micro(reserved) + micro(spent)) {
    found.push(`${namespaceId}: granted ${granted}, but ${available} + ${reserved} + ${spent}`)
  }
  if (micro(reserved) !== 0n) found.push(`${namespaceId}: ${reserved} is still reserved`)
  const mine = jobs.filter(({ row }) => row.job.namespaceId === namespaceId)
  const charged = mine.reduce((sum, { row }) => sum + micro(row.charged), 0n)
  if (charged !== micro(spent)) found.push(`${namespaceId}: spent ${spent}, but its jobs were charged ${charged} micro`)
  const kinds = new Map<string, Array<string>>()
  for (const { jobId, kind } of await entriesOf(daemon, namespaceId)) {
    if (jobId !== null) kinds.set(jobId, [...(kinds.get(jobId) ?? []), kind])
  }
  for (const { row } of mine) {
    const of = kinds.get(row.job.id) ?? []
    if (of.filter((kind) => kind === "reserve").length !== 1 || new Set(of).size !== of.length || of.length < 2) {
      found.push(`${row.job.id}: its entries are ${of.join(", ")}`)
    }
  }
  const audit = await look<{ ok: boolean; findings: ReadonlyArray<unknown> }>(daemon, "/control/ledger/audit")
  if (!audit.ok) found.push(`the ledger's own audit finds ${JSON.stringify(audit.findings)}`)
  return found
}

const entriesOf = async (daemon: Daemon, namespaceId: string): Promise<ReadonlyArray<Entry>> => {
  const all: Array<Entry> = []
  let after: number | null = 0
  while (after !== null) {
    const page: { data: ReadonlyArray<Entry>; next: number | null } = await look(
      daemon,
      `/control/namespaces/${namespaceId}/entries?limit=500&after=${after}`
    )
    all.push(...page.data)
    after = page.next
  }
  return all
}
