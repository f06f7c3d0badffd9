/**
 * Records whose writer died are looked after only when they are ten minutes old. Nobody waits for that: when everything is over, they are made to look older
 * than that (where a daemon is alone with its data, by its clock), and the sweeper is asked for a pass.
 */
import { writeFileSync } from "node:fs"
import { scheduler } from "node:timers/promises"
import { dumpRecords } from "./Dump.ts"
import type { StoredJob, StoredRecord } from "./History.ts"
import type { Setting } from "./Setting.ts"

const AHEAD_MS = 11 * 60_000
const PATIENCE_MS = 60_000
const LOOK_EVERY_MS = 2_000

/** The records of these jobs, after the repair where some were open still. */
export const recordsAfterRepair = async (
  { daemons, clocks, stores }: Setting,
  jobs: ReadonlyArray<StoredJob>,
  say: (line: string) => void
): Promise<ReadonlyMap<string, StoredRecord | null>> => {
  const urls = daemons.map(({ controlUrl }) => controlUrl)
  const records = new Map(
    await dumpRecords(
      urls,
      jobs.map(({ id }) => id)
    )
  )
  const openOnes = () => [...records].flatMap(([id, record]) => (record?.completeness === "open" ? [id] : []))
  const first = openOnes().length
  if (first === 0) return records
  say(`${first} records are open: they are made ${AHEAD_MS / 60_000} minutes older, so that they are looked after`)
  if (stores !== null) await stores.ageRecords(AHEAD_MS)
  else for (const [target, path] of clocks) if (target.startsWith("daemon/")) writeFileSync(path, String(AHEAD_MS))
  const until = Date.now() + PATIENCE_MS
  while (openOnes().length > 0 && Date.now() < until) {
    await scheduler.wait(LOOK_EVERY_MS)
    await Promise.all(urls.map(askForPass))
    for (const [id, record] of await dumpRecords(urls, openOnes())) records.set(id, record)
  }
  return records
}

/** Only the sweeper's leader does anything; the others say so. */
const askForPass = async (url: string): Promise<void> => {
  const response = await fetch(`${url}/control/sweepers/record-repair/sweep`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ reason: "chaos" }),
    signal: AbortSignal.timeout(PATIENCE_MS)
  }).catch(() => null)
  await response?.arrayBuffer()
}
