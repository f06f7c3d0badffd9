/**
 * When to try again, and when to give up: a supervisor's restart budget and backoff. The budget is a sliding window as in
 * OTP; a restart exactly `period` old is still inside. Plain arithmetic on monotonic milliseconds.
 */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"

export interface RestartOptions {
  /** How many restarts within `period` are borne; one more escalates. A restart exactly `period` old still counts. */
  readonly intensity: number
  readonly period: Duration.Input
  /**
   * Wait before a restart: `first`, doubled with each crash in a row up to `max`, then shortened at random by up to half.
   * A row ends when an incarnation has run for longer than `period`.
   */
  readonly backoff: { readonly first: Duration.Input; readonly max: Duration.Input }
  /** True for a crash that is somebody else's outage: restarted with the same backoff for ever, budget untouched. */
  readonly waitOut?: ((cause: Cause.Cause<unknown>) => boolean) | undefined
}

export class Restarts {
  private readonly intensity: number
  readonly periodMs: number
  private readonly firstMs: number
  private readonly maxMs: number
  /** Never longer than `intensity` + 1. */
  private recent: Array<number> = []

  constructor(options: RestartOptions) {
    this.intensity = options.intensity
    this.periodMs = toMillis(options.period)
    this.firstMs = toMillis(options.backoff.first)
    this.maxMs = toMillis(options.backoff.max)
  }

  /** Takes one restart out of the budget; false when that overdraws it. */
  spend(now: number): boolean {
    this.recent = this.recent.filter((at) => now - at <= this.periodMs)
    this.recent.push(now)
    return this.recent.length <= this.intensity
  }

  /** A new life, a new budget. */
  clear(): void {
    this.recent = []
  }

  /** `crashesInARow` counts from 1; `chance` is uniform in [0, 1). */
  backoffMs(crashesInARow: number, chance: number): number {
    return Math.min(this.maxMs, this.firstMs * 2 ** (crashesInARow - 1)) * (1 - chance / 2)
  }
}

const toMillis = (input: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(input))
