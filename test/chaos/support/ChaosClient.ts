/**
 * One client with one job: it submits (again, with the same key, when it was told to), follows by position and goes on elsewhere when its
 * connection breaks, leaves and comes back, cancels. It writes down what it was told and never what it should have been told.
 */
import { Cause, Effect, Exit } from "effect"
import { Admission, type Admitted, type JobRequest } from "../../../src/actors/job/Admission.ts"
import { JobStreams, type JobSignal } from "../../../src/actors/job/JobStreams.ts"
import type { Scope } from "../../../src/layers/JobRecords.ts"
import { Outage } from "../../../src/layers/Outage.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import type { Caller } from "../../../src/schemas/Namespace.ts"
import { Refusal } from "../../../src/schemas/Refusal.ts"
import { answersTo } from "../../support/worldFactories.ts"
import type { ChaosDaemon } from "./ChaosDaemon.ts"
import type { Dice } from "./Dice.ts"
import type { ClientLog, ReaderLog } from "./History.ts"
import type { JobPlan } from "./Plan.ts"
import type { Process } from "./Sim.ts"

export interface ClientHouse {
  readonly process: Process
  readonly dice: Dice
  /** Some daemon that takes calls; null when there is none. */
  readonly daemon: () => ChaosDaemon | null
  /** It was refused because too much waits. */
  readonly shed: () => void
}

/** Tries of one call; by then the faults are long over. */
const TRIES_MAX = 60

export class ChaosClient {
  readonly log: ClientLog
  private readonly house: ClientHouse
  private readonly plan: JobPlan
  private readonly caller: Caller
  private pending = 0

  constructor(house: ClientHouse, plan: JobPlan, caller: Caller, request: JobRequest) {
    this.house = house
    this.plan = plan
    this.caller = caller
    this.log = {
      namespaceId: caller.namespace.id,
      request,
      expected: answersTo(request),
      accepted: [],
      refused: [],
      cancelled: false,
      readers: [],
      faults: []
    }
    this.later(plan.atMs, () => this.submit(0))
    if (plan.againMs !== null) this.later(plan.atMs + plan.againMs, () => this.submit(0))
  }

  get isDone(): boolean {
    return this.pending === 0
  }

  private get scope(): Scope {
    return { _tag: "Namespace", namespaceId: this.caller.namespace.id }
  }

  private later(ms: number, then: () => void): void {
    this.pending += 1
    this.house.process.after(ms, () => {
      this.pending -= 1
      then()
    })
  }

  /** One call at some daemon; `lost` when the daemon died before it answered. */
  private call<A, E, R>(
    effect: Effect.Effect<A, E, R>,
    told: (exit: Exit.Exit<A, E> | "lost") => void
  ): { readonly leave: () => void } {
    const daemon = this.house.daemon()
    this.pending += 1
    let open = true
    const answer = (exit: Exit.Exit<A, E> | "lost") => {
      if (!open) return
      open = false
      this.house.process.enqueue(() => {
        this.pending -= 1
        told(exit)
      })
    }
    if (daemon === null) answer("lost")
    else daemon.serve(effect as never, answer as never)
    return { leave: () => answer("lost") }
  }

  private submit(tries: number): void {
    const { request, accepted, refused, faults } = this.log
    const known = accepted.length > 0
    const admit = Effect.flatMap(Admission, (gate) => gate.admit(this.caller, request))
    this.call(admit, (exit) => {
      if (exit !== "lost" && Exit.isSuccess(exit)) return this.onAccepted(exit.value)
      const failure = exit === "lost" ? null : failureOf(exit)
      if (failure instanceof Refusal && failure.code === "overloaded") this.house.shed()
      if (failure instanceof Refusal && failure.code !== "model_unavailable" && failure.code !== "overloaded") {
        // An answer that was on its way before the other try was accepted says what was true then.
        if (known) faults.push(`refused as ${failure.code} what was accepted before`)
        refused.push(failure.code)
        return
      }
      if (failure !== null && !(failure instanceof Refusal) && !(failure instanceof Outage))
        faults.push(String(failure))
      // Whoever has no key cannot know whether saying it again would be a second job.
      if (request.idempotencyKey === null && !(failure instanceof Refusal)) return
      if (tries < TRIES_MAX) this.later(this.house.dice.between(100, 1500), () => this.submit(tries + 1))
    })
  }

  private onAccepted({ row }: Admitted): void {
    const { accepted } = this.log
    const first = accepted.length === 0
    accepted.push(row.job.id)
    if (!first) return
    const { mode, leavesAfter, cancelMs, secondReader } = this.plan
    if (mode === "polling") this.poll(row.job.id)
    else this.follow(row.job.id, this.reader(row.job.id, 0), leavesAfter)
    if (cancelMs !== null) this.later(cancelMs, () => this.cancel(row.job.id, 0))
    if (secondReader !== null) {
      this.later(secondReader.afterMs, () => this.follow(row.job.id, this.reader(row.job.id, secondReader.from), null))
    }
  }

  private reader(jobId: JobId, from: number): ReaderLog {
    const log: ReaderLog = { jobId, from, events: [], row: null, faults: [] }
    this.log.readers.push(log)
    return log
  }

  private poll(jobId: JobId): void {
    const row = Effect.flatMap(JobStreams, (streams) => streams.row(this.scope, jobId))
    this.call(row, (exit) => {
      if (exit !== "lost" && Exit.isSuccess(exit) && exit.value.finishedAt !== null) {
        return this.follow(jobId, this.reader(jobId, 0), null)
      }
      this.complain(exit, "asked for its row")
      this.later(this.house.dice.between(200, 800), () => this.poll(jobId))
    })
  }

  private follow(jobId: JobId, log: ReaderLog, leavesAfter: number | null): void {
    let left = false
    const reading = Effect.scoped(
      Effect.gen({ self: this }, function* () {
        const streams = yield* JobStreams
        const { take } = yield* streams.subscribe(this.scope, jobId, log.from + log.events.length)
        while (true) {
          for (const signal of yield* take) {
            // Who left hears nothing, whatever is still being said.
            if (left) return "left" as const
            const over = this.hear(log, signal)
            if (over !== null) return over
          }
          if (leavesAfter !== null && log.events.length >= leavesAfter) {
            left = true
            return "left" as const
          }
        }
      })
    )
    this.call(reading, (exit) => {
      left = true
      this.complain(exit, "followed it")
      if (exit !== "lost" && Exit.isSuccess(exit) && exit.value === "ended") return
      this.later(this.house.dice.between(50, 1200), () => this.follow(jobId, log, null))
    })
  }

  private hear(log: ReaderLog, signal: JobSignal): "ended" | "behind" | null {
    switch (signal._tag) {
      case "Ended":
        log.row = signal.row
        return "ended"
      case "Behind":
        if (signal.lastSeq !== log.from + log.events.length) log.faults.push(`behind at ${signal.lastSeq}`)
        return "behind"
      case "Tokens":
        for (const event of signal.events) {
          const due = log.from + log.events.length + 1
          if (event.seq !== due) log.faults.push(`piece ${event.seq} came, ${due} was due`)
          log.events.push(event)
        }
        return null
    }
  }

  private cancel(jobId: JobId, tries: number): void {
    const cancelled = Effect.flatMap(JobStreams, (streams) => streams.cancel(this.scope, jobId, "client"))
    this.call(cancelled, (exit) => {
      if (exit !== "lost" && Exit.isSuccess(exit)) {
        this.log.cancelled = true
        return
      }
      const failure = exit === "lost" ? null : failureOf(exit)
      if (failure instanceof Refusal && failure.code === "conflict") return
      this.complain(exit, "cancelled it")
      if (tries < TRIES_MAX) this.later(this.house.dice.between(100, 1500), () => this.cancel(jobId, tries + 1))
    })
  }

  /** A job that was accepted is there for its client, and nothing but an Outage keeps him from it. */
  private complain(exit: Exit.Exit<unknown, unknown> | "lost", what: string): void {
    if (exit === "lost" || Exit.isSuccess(exit)) return
    const failure = failureOf(exit)
    if (failure instanceof Outage) return
    if (failure instanceof Refusal && failure.code === "unavailable") return
    this.log.faults.push(`${what}: ${failure instanceof Refusal ? failure.code : String(failure)}`)
  }
}

const failureOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isSuccess(exit) ? null : Cause.squash(exit.cause)
