/**
 * The attempts an agent has, running or waiting to be settled, in the order they were assigned, and what they cost in
 * memory. Past the bounds it forgets first what is durable elsewhere, then the oldest results that nobody took; what
 * runs it never forgets.
 */
import * as Latch from "effect/Latch"
import { type AttemptEnd, dropDurable, type HeldAttempt } from "./HeldAttempt.ts"
import type { Log } from "./Log.ts"

/** Attempts a `Holding` frame can name. */
const HELD_MAX = 4096
/** How long after its deadline an attempt is kept that nobody asks for. */
const ORPHAN_MS = 600_000

export interface Named {
  readonly jobId: string
  readonly attempt: number
}

export const factsOf = ({ jobId, attempt, epoch }: HeldAttempt) => ({ jobId, attempt, epoch })

export class KeptAttempts {
  /** Open while nothing runs, and while nothing is kept. */
  readonly quiet = Latch.makeUnsafe(true)
  readonly empty = Latch.makeUnsafe(true)
  readonly #byKey = new Map<string, HeldAttempt>()
  readonly #sizeMax: number
  readonly #log: Log
  #running = 0
  #size = 0

  /** `sizeMax` in characters of pieces, over all attempts. */
  constructor(sizeMax: number, log: Log) {
    this.#sizeMax = sizeMax
    this.#log = log
  }

  get running(): number {
    return this.#running
  }

  get isFull(): boolean {
    return this.#size > this.#sizeMax
  }

  /** Attempts may be dropped while these are gone through. */
  all(): Iterable<HeldAttempt> {
    return this.#byKey.values()
  }

  find(named: Named): HeldAttempt | undefined {
    return this.#byKey.get(keyOf(named))
  }

  add(attempt: HeldAttempt): void {
    this.#byKey.set(keyOf(attempt), attempt)
    this.#running += 1
    this.quiet.closeUnsafe()
    this.empty.closeUnsafe()
    this.#relieve()
  }

  /** The attempt's pieces grew by so many characters. */
  grew(by: number): void {
    this.#size += by
    this.#relieve()
  }

  /** The runtime is through with it; false when it was already. */
  finish(attempt: HeldAttempt, end: AttemptEnd): boolean {
    if (attempt.end !== null) return false
    attempt.end = end
    this.#running -= 1
    if (this.#running === 0) this.quiet.openUnsafe()
    return true
  }

  /** Forgets it, and stops its runtime if that still speaks. */
  drop(attempt: HeldAttempt): void {
    if (!this.#byKey.delete(keyOf(attempt))) return
    this.#size -= attempt.size
    if (this.finish(attempt, FORGOTTEN)) attempt.stop()
    if (this.#byKey.size === 0) this.empty.openUnsafe()
  }

  /** Drops what nobody asked for in all this time. */
  sweep(now: number): void {
    for (const attempt of this.#byKey.values()) {
      if (now <= attempt.deadlineAt + ORPHAN_MS) continue
      this.#log("dropped an attempt that nobody asked for", factsOf(attempt))
      this.drop(attempt)
    }
  }

  #fits(): boolean {
    return !this.isFull && this.#byKey.size <= HELD_MAX
  }

  #relieve(): void {
    if (this.#fits()) return
    for (const attempt of this.#byKey.values()) {
      if (!this.isFull) break
      this.#size -= dropDurable(attempt)
    }
    for (const attempt of this.#byKey.values()) {
      if (this.#fits()) return
      if (attempt.end === null) continue
      this.#log("dropped a finished attempt for lack of room", factsOf(attempt))
      this.drop(attempt)
    }
  }
}

const FORGOTTEN: AttemptEnd = { _tag: "Failed", code: "forgotten", fault: "node" }

const keyOf = ({ jobId, attempt }: Named): string => `${jobId}/${attempt}`
