/**
 * One question under way: the Reply its receiver holds, the fiber that waits, and its timeout, in one object and without
 * a fiber of its own. The first outcome counts: an answer, the timeout, the asker's interruption, or the end of the
 * incarnation that received it (which is why an incarnation keeps a list of the questions it owes).
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { AskTimedOut } from "./ActorErrors.ts"
import type { Reply } from "./ActorRef.ts"
import { Timer, type Timers } from "./Timers.ts"

export class AskReply extends Timer implements Reply<unknown, unknown> {
  private readonly address: string
  private readonly timeoutMs: number
  private readonly timers: Timers
  private outcome: Exit.Exit<unknown, unknown> | undefined = undefined
  private resume: ((exit: Exit.Exit<unknown, unknown>) => void) | undefined = undefined
  /** The list of the incarnation that owes the answer. */
  owedBy: Set<AskReply> | undefined = undefined

  constructor(address: string, timeoutMs: number, timers: Timers) {
    super()
    this.address = address
    this.timeoutMs = timeoutMs
    this.timers = timers
  }

  get settled(): boolean {
    return this.outcome !== undefined
  }

  succeed(value: unknown): void {
    this.done(Exit.succeed(value))
  }

  fail(error: unknown): void {
    this.done(Exit.fail(error))
  }

  done(exit: Exit.Exit<unknown, unknown>): void {
    if (this.outcome !== undefined) return
    this.outcome = exit
    this.timers.disarm(this)
    this.owedBy?.delete(this)
    this.owedBy = undefined
    const resume = this.resume
    this.resume = undefined
    resume?.(exit)
  }

  override fire(): void {
    this.done(Exit.fail(new AskTimedOut({ address: this.address, timeoutMs: this.timeoutMs })))
  }

  /** Completes with the outcome; call it once. The patience counts from when it runs. */
  wait(): Effect.Effect<unknown, unknown> {
    return (
      this.outcome ??
      Effect.callback<unknown, unknown>((resume) => {
        if (this.outcome !== undefined) return resume(this.outcome)
        this.resume = resume
        this.timers.arm(this, this.timeoutMs)
        return Effect.sync(() => this.done(Exit.void))
      })
    )
  }
}
