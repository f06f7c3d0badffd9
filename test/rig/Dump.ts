/** What the stores hold when everything is over: the deciding store past every daemon, the records as an operator reads them. */
import { scheduler } from "node:timers/promises"
import type { StoredBalance, StoredEntry, StoredEvent, StoredJob, StoredRecord, StoredState } from "./History.ts"
import type { Row, StateDb } from "./StateDb.ts"
import type { JobRecord } from "../../src/schemas/JobRecord.ts"

const text = (row: Row, name: string): string => String(row[name])
const textOrNull = (row: Row, name: string): string | null => (row[name] === null ? null : String(row[name]))
const whole = (row: Row, name: string): number => Number(row[name])
const amount = (row: Row, name: string): bigint => BigInt(String(row[name]))

export const dumpState = (db: StateDb): Promise<StoredState> =>
  db.look(async (query) => ({
    jobs: (await query("SELECT * FROM job")).map(jobOf),
    events: (await query("SELECT * FROM job_event ORDER BY job_id, seq")).map(eventOf),
    entries: (await query("SELECT * FROM credit_entry ORDER BY seq")).map(entryOf),
    balances: (await query("SELECT * FROM credit_balance")).map(balanceOf),
    keys: (await query("SELECT namespace_id, key, job_id FROM idempotency_key")).map((row) => ({
      namespaceId: text(row, "namespace_id"),
      key: text(row, "key"),
      jobId: text(row, "job_id")
    })),
    outbox: Number((await query("SELECT count(*) AS count FROM outbox"))[0]?.["count"] ?? 0)
  }))

const jobOf = (row: Row): StoredJob => ({
  id: text(row, "id"),
  namespaceId: text(row, "namespace_id"),
  facts: JSON.parse(text(row, "facts")) as StoredJob["facts"],
  state: text(row, "state") as StoredJob["state"],
  owner: textOrNull(row, "owner"),
  epoch: whole(row, "epoch"),
  attempt: whole(row, "attempt"),
  reserved: amount(row, "reserved"),
  charged: amount(row, "charged"),
  promptTokens: whole(row, "prompt_tokens"),
  outputTokens: whole(row, "output_tokens"),
  errorCode: textOrNull(row, "error_code"),
  events: whole(row, "events")
})

const eventOf = (row: Row): StoredEvent => ({
  jobId: text(row, "job_id"),
  seq: whole(row, "seq"),
  kind: text(row, "kind"),
  from: textOrNull(row, "from_state") as StoredEvent["from"],
  to: text(row, "to_state") as StoredEvent["to"],
  epoch: whole(row, "epoch"),
  attempt: whole(row, "attempt")
})

const entryOf = (row: Row): StoredEntry => ({
  namespaceId: text(row, "namespace_id"),
  kind: text(row, "kind") as StoredEntry["kind"],
  amount: amount(row, "amount"),
  jobId: textOrNull(row, "job_id")
})

const balanceOf = (row: Row): StoredBalance => ({
  namespaceId: text(row, "namespace_id"),
  granted: amount(row, "granted"),
  available: amount(row, "available"),
  reserved: amount(row, "reserved"),
  spent: amount(row, "spent"),
  openJobs: whole(row, "open_jobs")
})

const READERS = 12
const TRIES = 20
const PAUSE_MS = 500

/** The records of these jobs; null for one that has none. */
export const dumpRecords = async (
  controlUrls: ReadonlyArray<string>,
  jobIds: ReadonlyArray<string>
): Promise<ReadonlyMap<string, StoredRecord | null>> => {
  const records = new Map<string, StoredRecord | null>()
  const left = [...jobIds]
  const reader = async (number: number) => {
    for (let jobId = left.pop(); jobId !== undefined; jobId = left.pop()) {
      records.set(jobId, await recordOf(controlUrls, number, jobId))
    }
  }
  await Promise.all(Array.from({ length: READERS }, (_, number) => reader(number)))
  return records
}

const recordOf = async (
  controlUrls: ReadonlyArray<string>,
  number: number,
  jobId: string
): Promise<StoredRecord | null> => {
  for (let tries = 0; tries < TRIES; tries++) {
    const url = controlUrls[(number + tries) % controlUrls.length] ?? ""
    const response = await fetch(`${url}/control/jobs/${jobId}`).catch(() => null)
    if (response?.status !== 200) {
      await response?.arrayBuffer()
      await scheduler.wait(PAUSE_MS)
      continue
    }
    const { record } = (await response.json()) as {
      readonly record: (Omit<JobRecord, "cost"> & { readonly cost: string | null }) | null
    }
    if (record === null) return null
    const { namespaceId, state, completeness, truncatedReason, errorCode, cost, output } = record
    return {
      jobId: record.jobId,
      namespaceId,
      state,
      completeness,
      truncatedReason,
      errorCode,
      cost,
      outputSha256: output?.sha256 ?? null,
      outputTokens: output?.tokens.completion ?? null
    }
  }
  return null
}
