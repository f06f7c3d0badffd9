/** What checkers are shown of a run: the stores as they are at this moment, and what this run excuses. */
import type { JobId } from "../../../src/schemas/Ids.ts"
import type { Scene } from "./History.ts"
import * as Modes from "./Modes.ts"
import { isStranded, leasesLeft } from "./Quiet.ts"
import type { Run } from "./Run.ts"

export const sceneOf = (run: Run, outstanding: ReadonlyMap<JobId, number>, hasEnded: () => boolean): Scene => {
  const { history, plan, crossings, sim } = run
  return {
    history,
    get state() {
      return run.shared.state
    },
    get records() {
      return run.shared.records
    },
    get live() {
      return run.shared.live
    },
    now: () => sim.now,
    outstanding: (jobId) => outstanding.get(jobId) ?? 0,
    mayForget: () => hasEnded() && crossings.hit.some((fault) => FORGETFUL.some((part) => fault.startsWith(part))),
    prefetch: plan.prefetch,
    isGentle: () => !hasEnded() && isGentle(history.crashes, crossings.hit),
    isStranded: (row) => isStranded(run, row),
    leavesRecordsOpen: Modes.leavesRecordsOpen(plan.without),
    keepsForEver: Modes.keepsForEver(plan.without),
    leasesLeft: () => leasesLeft(run),
    depths: () => run.daemons.flatMap((daemon) => daemon.depths())
  }
}

const FORGETFUL = ["clock tracesOut", "clock recordsOut", "Traces."]
const HARSH = ["Leases.", "clock freeze", "clock drain", "clock live", "clock everything", "freeze", "late", "slow"]

const isGentle = (crashes: ReadonlyArray<string>, hit: ReadonlyArray<string>) =>
  crashes.length === 0 && !hit.some((fault) => HARSH.some((harsh) => fault.includes(harsh)))
