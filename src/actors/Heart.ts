/**
 * This incarnation's life among daemons: it joins, beats (and sets its clock by the store), and leaves. Declared dead by others, or unable to beat for too long by its own monotonic
 * clock, it fences itself: it stops acting at once, because somebody else may have taken its jobs over.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { followTime } from "../kernel/SharedClock.ts"
import { DaemonConfig } from "../layers/DaemonConfig.ts"
import { Daemons } from "../layers/Daemons.ts"

const BEAT_EVERY = "1 second"
const NANOS_PER_MS = 1_000_000n
/** A daemon that has not beaten for this long hangs. */
export const SILENCE_MAX_MS = 10_000

export class Fenced extends Data.TaggedError("Fenced")<{ readonly why: string }> {
  override get message(): string {
    return `fenced: ${this.why}; start again to take the jobs over`
  }
}

export class Heart extends Context.Service<
  Heart,
  {
    /** Fails when this incarnation must stop acting. */
    readonly fenced: Effect.Effect<never, Fenced>
    /**
     * False for a while after a beat of ours failed: who could not reach the store itself must not judge others by the same silence, because they
     * may be a moment from their next beat.
     */
    readonly isSteady: Effect.Effect<boolean>
    /** An orderly end: what it still owns may be taken over at once. */
    readonly leave: Effect.Effect<void>
  }
>()("resultity/actors/Heart") {
  static readonly layer = Layer.effect(
    Heart,
    Effect.gen(function* () {
      const { daemonId, silenceMaxMs } = yield* DaemonConfig
      const daemons = yield* Daemons
      yield* followTime(daemons.time)
      yield* daemons.join(daemonId, yield* Clock.currentTimeMillis)
      const fenced = yield* Deferred.make<never, Fenced>()
      let beatenAt = yield* Clock.monotonicTimeNanos
      let failedAt: bigint | null = null
      const beat = Effect.gen(function* () {
        const alive = yield* daemons.beat(daemonId, yield* Clock.currentTimeMillis)
        if (!alive) return yield* new Fenced({ why: "another daemon declared this one dead" })
        beatenAt = yield* Clock.monotonicTimeNanos
        yield* followTime(daemons.time)
      }).pipe(
        Effect.catchTag("Outage", ({ during }) =>
          Effect.gen(function* () {
            yield* Effect.logWarning("heartbeat failed", { during })
            failedAt = yield* Clock.monotonicTimeNanos
            if (silenceMaxMs !== null && failedAt - beatenAt > BigInt(silenceMaxMs) * NANOS_PER_MS)
              return yield* new Fenced({ why: "no heartbeat got through" })
          })
        )
      )
      yield* Effect.forever(Effect.andThen(beat, Effect.sleep(BEAT_EVERY))).pipe(
        Effect.catchDefect((defect) => Effect.fail(new Fenced({ why: String(defect) }))),
        Effect.catchTag("Fenced", (why) => Deferred.fail(fenced, why)),
        Effect.forkScoped
      )
      const leave = Effect.gen(function* () {
        yield* Effect.catch(daemons.leave(daemonId, yield* Clock.currentTimeMillis), ({ during }) =>
          Effect.logWarning("left without a word: others will notice the silence", { during })
        )
      })
      const isSteady = Effect.map(
        Clock.monotonicTimeNanos,
        (now) => failedAt === null || now - failedAt > BigInt(SILENCE_MAX_MS) * NANOS_PER_MS
      )
      return Heart.of({ fenced: Deferred.await(fenced), isSteady, leave })
    })
  )
}
