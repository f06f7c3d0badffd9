/**
 * The time that all daemons of a cluster have in common: told by the deciding store once in a while, and carried on between by this process's
 * monotonic clock. A machine whose own clock is wrong, or jumps, ends no job too early and keeps none too long. Until it is told anything it is the
 * machine's clock. Intervals (sleeps, monotonic readings) are the machine's always.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** What the store said, and the monotonic readings (ms) around the question. */
export interface Told {
  readonly now: number
  readonly askedAt: number
  readonly answeredAt: number
}

/** An answer that took longer says too little of when it was given. */
const ROUND_TRIP_MAX_MS = 1_000
/** Less behind than this it stands still until it is right; more, it goes back at once. */
const STAND_STILL_MS = 1_000

const monotonicMs = () => performance.now()

export class SharedClock implements Clock.Clock {
  private readonly machine: Clock.Clock
  private readonly monotonic: () => number
  /** The shared time at monotonic zero; null: nobody said. */
  private origin: number | null = null
  private latest = 0

  constructor(machine: Clock.Clock = Context.get(Context.empty(), Clock.Clock), monotonic: () => number = monotonicMs) {
    this.machine = machine
    this.monotonic = monotonic
  }

  /** By how many ms the shared time turned out to be ahead of what this clock showed; null: the answer says too little. */
  follow({ now, askedAt, answeredAt }: Told): number | null {
    const roundTrip = answeredAt - askedAt
    if (roundTrip > ROUND_TRIP_MAX_MS) return null
    const origin = now + roundTrip / 2 - answeredAt
    const shown = this.origin ?? this.machine.currentTimeMillisUnsafe() - this.monotonic()
    const ahead = origin - shown
    // Within half a round trip nobody can tell the two apart.
    if (this.origin === null || Math.abs(ahead) > roundTrip / 2 + 1) this.origin = origin
    if (-ahead > STAND_STILL_MS) this.latest = 0
    return ahead
  }

  currentTimeMillisUnsafe(): number {
    if (this.origin === null) return this.machine.currentTimeMillisUnsafe()
    this.latest = Math.max(this.latest, Math.floor(this.origin + this.monotonic()))
    return this.latest
  }
  readonly currentTimeMillis: Effect.Effect<number> = Effect.sync(() => this.currentTimeMillisUnsafe())

  currentTimeNanosUnsafe(): bigint {
    return this.origin === null
      ? this.machine.currentTimeNanosUnsafe()
      : BigInt(Math.round((this.origin + this.monotonic()) * 1_000)) * 1_000n
  }
  readonly currentTimeNanos: Effect.Effect<bigint> = Effect.sync(() => this.currentTimeNanosUnsafe())

  monotonicTimeNanosUnsafe(): bigint {
    return this.machine.monotonicTimeNanosUnsafe()
  }
  readonly monotonicTimeNanos: Effect.Effect<bigint> = Effect.sync(() => this.monotonicTimeNanosUnsafe())

  sleep(duration: Parameters<Clock.Clock["sleep"]>[0]): Effect.Effect<void> {
    return this.machine.sleep(duration)
  }
}

/** Whether this process's clock follows anybody; without one, what the store says is not asked for. */
export const Following = Context.Reference<SharedClock | null>("resultity/kernel/SharedClock/Following", {
  defaultValue: () => null
})

/** Runs with a clock that follows whoever `followTime` asks. */
export const withSharedClock = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const clock = new SharedClock()
    return effect.pipe(Effect.provideService(Following, clock), Effect.provideService(Clock.Clock, clock))
  })

/** Lets this process's clock follow the answer, where it follows anybody. */
export const followTime = <E, R>(ask: Effect.Effect<number, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    const clock = yield* Following
    if (clock === null) return
    const askedAt = monotonicMs()
    const now = yield* ask
    const ahead = clock.follow({ now, askedAt, answeredAt: monotonicMs() })
    if (ahead !== null && Math.abs(ahead) > STAND_STILL_MS)
      yield* Effect.logWarning("this machine's clock is wrong, or the store's: the store's is followed", {
        aheadMs: Math.round(ahead)
      })
  })
