/**
 * The waiting room of a dispatcher: which of the waiting jobs is served next when capacity appears. By class, then by fair share between
 * namespaces, then by age. It knows no clock and no chance: the same calls give the same order.
 *
 * Waiting raises a job class by class, `normal` too but late, so that no flood of stronger jobs starves anybody: once a job is in
 * the strongest class, only older jobs of its own namespace and the shares of the others stand before it. `add`, `remove` and
 * `next` are O(log n) in jobs; `next` also looks once at each pool that somebody waits for.
 */
import type { JobId, NamespaceId } from "../schemas/Ids.ts"
import { Priority } from "../schemas/Job.ts"
import { FairLevel, type Ranked } from "./FairLevel.ts"
import { OrderedHeap } from "./OrderedHeap.ts"

export interface WaitingJob {
  readonly jobId: JobId
  readonly namespaceId: NamespaceId
  /** Share of the namespace, at least 1; the one of the latest job added holds. */
  readonly weight: number
  readonly priority: Priority
  /** Counted by. */
  readonly lane: string
  /** Jobs of one pool can be served by the same nodes: the model, and whatever else narrows the choice. */
  readonly pool: string
  /** Since when it waits, epoch ms; older than the room when it waited elsewhere before. */
  readonly since: number
}

export interface FairShareRules {
  /** Jobs that may wait. */
  readonly max: number
  /** Waiting in this class after which a job rises by one. */
  readonly riseMs: Readonly<Record<Exclude<Priority, "urgent">, number>>
}

/** `normal` rises shortly before the usual patience of an interactive caller (180 s) ends. */
export const defaultRiseMs: FairShareRules["riseMs"] = { normal: 120_000, bulk: 30_000, test: 30_000 }

interface Entry<J extends WaitingJob> extends Ranked {
  readonly job: J
  level: number
  risesAt: number
}

const CLASSES = Priority.literals

export class FairShare<J extends WaitingJob = WaitingJob> {
  readonly #rules: FairShareRules
  readonly #entries = new Map<JobId, Entry<J>>()
  readonly #lanes = new Map<string, number>()
  /** One for each class, strongest first. */
  readonly #levels = CLASSES.map(() => new FairLevel<Entry<J>>())
  /** The jobs of each class by when they rise. */
  readonly #rising = CLASSES.map(() => new OrderedHeap<Entry<J>>(risesEarlier))

  constructor(rules: FairShareRules) {
    this.#rules = rules
  }

  get size(): number {
    return this.#entries.size
  }

  /** How many wait, by lane; only lanes where somebody waits. */
  get lanes(): ReadonlyMap<string, number> {
    return this.#lanes
  }

  has(jobId: JobId): boolean {
    return this.#entries.has(jobId)
  }

  /** `full` and `known` (it waits already) change nothing. */
  add(job: J): "added" | "full" | "known" {
    if (this.#entries.has(job.jobId)) return "known"
    if (this.#entries.size >= this.#rules.max) return "full"
    this.#enter(job, false, Number.NEGATIVE_INFINITY)
    return "added"
  }

  /**
   * Back to its place, its namespace not charged, when nothing came of the turn that `next` gave it. Never refused: the
   * room exceeds `max` by no more than the turns that are being tried.
   */
  putBack(job: J, now: number): void {
    if (this.#entries.has(job.jobId)) return
    this.#enter(job, true, now)
  }

  /** Undefined when it does not wait here. */
  remove(jobId: JobId): J | undefined {
    const entry = this.#entries.get(jobId)
    if (entry === undefined) return undefined
    this.#levels[entry.level]?.leave(entry)
    this.#forget(entry)
    return entry.job
  }

  /** Takes out the job to serve next among those whose pool is capable; undefined when there is none. */
  next(capable: (pool: string) => boolean, now: number): J | undefined {
    this.#raise(now)
    const asked = new Map<string, boolean>()
    const isCapable = (pool: string): boolean => {
      const answer = asked.get(pool) ?? capable(pool)
      asked.set(pool, answer)
      return answer
    }
    for (const level of this.#levels) {
      const entry = level.first(isCapable)
      if (entry === undefined) continue
      level.serve(entry)
      this.#forget(entry)
      return entry.job
    }
    return undefined
  }

  #enter(job: J, again: boolean, now: number): void {
    const level = CLASSES.indexOf(job.priority)
    const entry: Entry<J> = {
      job,
      namespaceId: job.namespaceId,
      pool: job.pool,
      weight: job.weight >= 1 ? job.weight : 1,
      since: job.since,
      id: job.jobId,
      level,
      risesAt: job.since + this.#patience(level)
    }
    while (entry.level > 0 && entry.risesAt <= now) this.#rise(entry)
    this.#entries.set(job.jobId, entry)
    this.#lanes.set(job.lane, (this.#lanes.get(job.lane) ?? 0) + 1)
    this.#place(entry, again)
  }

  #place(entry: Entry<J>, again: boolean): void {
    this.#levels[entry.level]?.enter(entry, again)
    if (entry.level > 0) this.#rising[entry.level]?.push(entry)
  }

  #forget(entry: Entry<J>): void {
    this.#entries.delete(entry.job.jobId)
    this.#rising[entry.level]?.remove(entry)
    const left = (this.#lanes.get(entry.job.lane) ?? 0) - 1
    if (left > 0) this.#lanes.set(entry.job.lane, left)
    else this.#lanes.delete(entry.job.lane)
  }

  /** Weakest class first, so that a job which waited very long passes through all of them at once. */
  #raise(now: number): void {
    for (let level = CLASSES.length - 1; level > 0; level--) {
      const rising = this.#rising[level]
      for (let entry = rising?.peek(); entry !== undefined && entry.risesAt <= now; entry = rising?.peek()) {
        rising?.remove(entry)
        this.#levels[level]?.leave(entry)
        this.#rise(entry)
        this.#place(entry, false)
      }
    }
  }

  #rise(entry: Entry<J>): void {
    entry.level -= 1
    entry.risesAt += this.#patience(entry.level)
  }

  #patience(level: number): number {
    const priority = CLASSES[level]
    return priority === undefined || priority === "urgent" ? 0 : this.#rules.riseMs[priority]
  }
}

const risesEarlier = <J extends WaitingJob>(a: Entry<J>, b: Entry<J>): boolean =>
  a.risesAt < b.risesAt || (a.risesAt === b.risesAt && a.id < b.id)
