/** What is still under way when nothing should be: open jobs, unsent messages, waiting deliveries, nodes that may not work, daemons that take none. */
import { scheduler } from "node:timers/promises"
import { type Control, sightOf } from "./Control.ts"
import type { DaemonHandle } from "./Daemons.ts"
import type { StateDb } from "./StateDb.ts"

export interface QuietOptions {
  readonly db: StateDb
  readonly control: Control
  readonly daemons: ReadonlyArray<DaemonHandle>
  /** Nodes that must be able to work, by the prefix of their names. */
  readonly nodes: { readonly prefix: string; readonly count: number }
  readonly patienceMs: number
}

const LOOK_EVERY_MS = 500
/** A lease whose taker died runs out by itself, by this time with the first settings. */
const LEASE_MS = 135_000

/** Empty as soon as everything is quiet; what was left when the patience was over. */
export const waitUntilQuiet = async (options: QuietOptions): Promise<ReadonlyArray<string>> => {
  const from = Date.now()
  // The last time that nothing but leases was left: one slow answer after it is no finding.
  let calmAt = from
  for (;;) {
    const left = await leftOver(options).catch((cause: unknown) => [
      cause instanceof Error ? cause.message : String(cause)
    ])
    const now = Date.now()
    if (left.every((what) => what.endsWith(LEASED))) calmAt = now
    const isOver = now - from > LEASE_MS || now - calmAt > options.patienceMs
    if (left.length === 0 || isOver) return left
    await scheduler.wait(LOOK_EVERY_MS)
  }
}

const LEASED = "slots are leased"

interface Lanes {
  readonly depths: ReadonlyArray<{ readonly ready: number; readonly unacknowledged: number }>
}

const leftOver = async ({ db, control, daemons, nodes }: QuietOptions): Promise<ReadonlyArray<string>> => {
  const left: Array<string> = []
  await db.look(async (query) => {
    for (const row of await query("SELECT state, count(*) AS count FROM job WHERE finished_at IS NULL GROUP BY state"))
      left.push(`${String(row["count"])} jobs are ${String(row["state"])}`)
    const unsent = Number((await query("SELECT count(*) AS count FROM outbox"))[0]?.["count"] ?? 0)
    if (unsent > 0) left.push(`${unsent} messages are unsent`)
  })
  for (const { name, controlUrl } of daemons) {
    const response = await fetch(`${controlUrl}/readyz`, { signal: AbortSignal.timeout(5_000) }).catch(() => null)
    if (response?.status !== 200) left.push(`${name} is not ready`)
    await response?.arrayBuffer()
  }
  const { active, leased } = await sightOf(control, nodes.prefix)
  if (active < nodes.count) left.push(`${active} of ${nodes.count} nodes may work`)
  if (leased > 0) left.push(`${leased} ${LEASED}`)
  const { depths } = await control.look<Lanes>("/control/lanes")
  const waiting = depths.reduce((sum, { ready, unacknowledged }) => sum + ready + unacknowledged, 0)
  if (waiting > 0) left.push(`${waiting} deliveries wait in the lanes`)
  return left
}
