/** What is still to be done in a run, and what of it nobody will do in this world, because the sweep that would is off. */
import { Effect } from "effect"
import { isTerminal, type JobRow } from "../../../src/schemas/JobState.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import * as Modes from "./Modes.ts"
import type { Run } from "./Run.ts"

/** Its owner is gone, and nobody is there to notice. */
export const isStranded = ({ plan, daemons, shared }: Run, { state, owner }: JobRow): boolean => {
  if (state !== "active" || !Modes.leavesOrphans(plan.without)) return false
  return (
    !daemons.some(({ id }) => id === owner) || (owner !== null && shared.state.daemons.get(owner)?.state !== "live")
  )
}

const strandedIn = (run: Run): ReadonlySet<JobId> =>
  new Set([...run.shared.state.jobs.values()].flatMap(({ row }) => (isStranded(run, row) ? [row.job.id] : [])))

export const hasStranded = (run: Run): boolean => strandedIn(run).size > 0

/** Names it, so that a run without an end says what it waits for; empty: all is over. */
export const leftOver = (run: Run): ReadonlyArray<string> => {
  const { state } = run.shared
  const stranded = strandedIn(run)
  const left: Array<string> = []
  for (const { row } of state.jobs.values()) {
    if (!isTerminal(row.state) && !stranded.has(row.job.id)) left.push(`${row.job.id} is ${row.state}`)
  }
  const waits = run.clients.some(({ isDone, log }) => !isDone && !log.accepted.some((jobId) => stranded.has(jobId)))
  if (waits) left.push("a client waits")
  if (run.underWay > 0) left.push("something comes late")
  if (left.length > 0) return left
  if (state.outbox.size > 0 && !Modes.leavesUnsent(run.plan.without))
    left.push(`${state.outbox.size} messages are unsent`)
  for (const agent of run.agents) {
    for (const [key, { assign }] of agent.held)
      if (!stranded.has(assign.jobId)) left.push(`${agent.nodeId} holds ${key}`)
  }
  for (const daemon of run.daemons) {
    for (const { jobId, what } of daemon.busy()) if (!stranded.has(jobId)) left.push(`${daemon.id} has ${what}`)
  }
  if (!run.daemons.some((daemon) => daemon.isUp)) left.push("no daemon is up")
  // A message that comes late makes an actor that looks at its job once more.
  if (left.length === 0 && run.inLanes > 0) left.push(`${run.inLanes} messages are with the broker`)
  return left
}

/** A cheap look before the whole one. */
export const mayBeQuiet = (run: Run): boolean => {
  if (run.underWay > 0 || (run.plan.without.length === 0 && run.clients.some(({ isDone }) => !isDone))) return false
  return leftOver(run).length === 0
}

export const hasOpenRecords = ({ shared, plan }: Run): boolean =>
  !Modes.leavesRecordsOpen(plan.without) &&
  [...shared.records.records.values()].some(({ record }) => record.completeness === "open")

/** Nodes that are here with slots that are leased, though no job is under way. A slot of a job that nobody ends is its own. */
export const leasesLeft = (run: Run): ReadonlyArray<string> => {
  if (hasStranded(run)) return []
  const nodes = Effect.runSync(run.shared.live.step("Leases", "list", (state) => state.list(run.sim.now)))
  return nodes.flatMap(({ nodeId, leased }) => (leased > 0 ? [`${nodeId} has ${leased} slots leased to nobody`] : []))
}

/** Within which a node's daemon finds slots that nobody uses; where nobody died and the leases were never out there are none. */
export const SLOTS_MS = 10_000
