/**
 * The JobStore as a child would build it: who lives, what is left in the purse, and for each job who has it since when. It predicts the tag of
 * every answer; where the contract leaves two open, it names both. It knows nothing of tables, messages or histories.
 */
import type { Claim, Finish, Release } from "../../../src/layers/JobStore.ts"
import type { DaemonId, JobId } from "../../../src/schemas/Ids.ts"
import type { Job } from "../../../src/schemas/Job.ts"
import { isLegal, isTerminal, type JobState } from "../../../src/schemas/JobState.ts"

interface ModelJob {
  readonly reserved: bigint
  state: JobState
  owner: DaemonId | null
  epoch: number
  attempt: number
  crashes: number
  charged: bigint
  /** The call that made it what it is. */
  last: Release | Finish | null
}

export type Prediction = ReadonlyArray<string>

export class JobModel {
  available = 0n
  spent = 0n
  granted = 0n
  readonly jobs = new Map<JobId, ModelJob>()
  readonly living = new Set<DaemonId>()

  grant(amount: bigint): void {
    this.granted += amount
    this.available += amount
  }

  admit(job: Job): Prediction {
    if (this.jobs.has(job.id)) return ["Known"]
    if (this.available < job.reserved) return ["insufficient_credits"]
    this.available -= job.reserved
    this.jobs.set(job.id, {
      reserved: job.reserved,
      state: "queued",
      owner: null,
      epoch: 0,
      attempt: 0,
      crashes: 0,
      charged: 0n,
      last: null
    })
    return ["Created"]
  }

  claim({ jobId, daemonId, epochSeen, nodeId, crashed, from }: Claim): Prediction {
    const job = this.jobs.get(jobId)
    if (job === undefined) return ["unknown"]
    const givesWay = job.owner === null || job.owner === daemonId || job.owner === from
    const reasons = [
      ...(isTerminal(job.state) ? ["ended"] : []),
      ...(this.living.has(daemonId) ? [] : ["dead"]),
      ...(!givesWay && job.owner !== null && this.living.has(job.owner) ? ["owned"] : []),
      ...(job.epoch === epochSeen ? [] : ["epoch"])
    ]
    // Which of several reasons is told is open.
    if (reasons.length > 0) return reasons
    job.state = "active"
    job.owner = daemonId
    job.epoch += 1
    job.attempt += nodeId === null ? 0 : 1
    job.crashes += crashed ? 1 : 0
    return ["Claimed"]
  }

  release(call: Release): Prediction {
    const job = this.jobs.get(call.jobId)
    if (job === undefined) return ["Stale"]
    if (job.state === "queued" && job.last === call) return ["Repeated"]
    if (!this.holds(job, call.daemonId, call.epoch)) return ["Stale"]
    job.state = "queued"
    job.owner = null
    job.last = call
    return ["Done"]
  }

  finish(call: Finish): Prediction {
    const job = this.jobs.get(call.jobId)
    if (job === undefined) return ["Stale"]
    if (job.last === call && isTerminal(job.state)) return ["Repeated"]
    const waits = job.state === "queued" && job.epoch === call.epoch
    const may = call.daemonId === null ? waits : this.holds(job, call.daemonId, call.epoch)
    const overcharges = call.charge > job.reserved
    // The same ending told in another call, and an overcharge by somebody stale: the contract leaves both open.
    if (!may) {
      const alike = job.state === call.state && job.epoch === call.epoch
      return ["Stale", ...(alike ? ["Repeated"] : []), ...(overcharges ? ["Died"] : [])]
    }
    if (overcharges || !isLegal(job.state, call.state)) return ["Died"]
    job.state = call.state
    job.owner = null
    job.charged = call.charge
    job.last = call
    this.available += job.reserved - call.charge
    this.spent += call.charge
    return ["Done"]
  }

  private holds(job: ModelJob, daemonId: DaemonId, epoch: number): boolean {
    return job.state === "active" && job.owner === daemonId && job.epoch === epoch && this.living.has(daemonId)
  }
}
