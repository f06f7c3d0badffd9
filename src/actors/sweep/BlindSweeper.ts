/**
 * Asks nodes what the network knows already, with jobs that look like all others, and judges what they answer: blind trials and re-tests with prompts of
 * evaluation sets, and replicas of jobs that are compared later. Off until the settings ask for it; re-tests come whenever a quarantine by rule is there.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type { Trial } from "../../schemas/Quality.ts"
import * as Replicas from "./Replicas.ts"
import type { Options } from "./Sweeper.ts"
import { advance } from "./TrialEnds.ts"
import type { TrialHouse } from "./TrialHouse.ts"
import { isAskedFor, OPEN_MAX, plan } from "./TrialPlans.ts"

const EVERY_MS = 5_000
const AT_ONCE = 8
/** Time that went by unseen (nobody led) is not made up for beyond this. */
const ELAPSED_MAX_MS = 60_000
/** With nothing but re-tests to look for, the fleet is looked at so often. */
const RARELY_MS = 30_000

/** Up to when trials were drawn, and finished jobs looked at. */
const Watermark = Schema.Struct({ drawnAt: Schema.Finite, replicatedTo: Schema.Finite })
type Watermark = typeof Watermark.Type
const isWatermark = Schema.is(Watermark)

export const make = (house: TrialHouse): Options => ({
  name: "blind",
  everyMs: EVERY_MS,
  batchMax: 64,
  sweepBatch: (stored, max, dryRun) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const watermark = isWatermark(stored) ? stored : { drawnAt: now, replicatedTo: now }
      const open = yield* house.quality.trials({ open: OPEN_MAX })
      if (dryRun) return { taken: 0, watermark: stored, detail: { open: open.length } }
      const ended = yield* Effect.forEach(open, (trial) => advance(house, trial), { concurrency: AT_ONCE })
      const over = open.filter((_, at) => ended[at])
      const goOn = open.filter((_, at) => !ended[at])
      const again = yield* Effect.forEach(over, (trial) => Replicas.ofTrial(house, trial, now))
      const replicas = again.flatMap((trial) => trial ?? [])
      const room = Math.max(0, Math.min(max, OPEN_MAX - goOn.length - replicas.length))
      const drawn = yield* draw(house, goOn, watermark, room, now)
      const repeated = yield* Replicas.ofJobs(house, watermark.replicatedTo, now, room - drawn.trials.length)
      const planned = [...replicas, ...drawn.trials, ...repeated]
      yield* Effect.forEach(planned, (trial) => start(house, trial), { concurrency: OPEN_MAX })
      const judged = over.length
      return {
        // Trials wait for their jobs; there is nothing that another batch could do at once.
        taken: Math.min(planned.length + judged, max - 1),
        watermark: { drawnAt: drawn.drawnAt, replicatedTo: now },
        detail: { planned: planned.length, judged, open: goOn.length + planned.length }
      }
    })
})

/**
 * The plan first: whoever comes after a crash finds it, and asks for its job under the same name. Then at some time within the beat: jobs that came with
 * the beat would tell themselves by it.
 */
const start = (house: TrialHouse, trial: Trial) =>
  Effect.gen(function* () {
    yield* house.quality.put(trial)
    yield* Effect.sleep(yield* Random.nextIntBetween(0, EVERY_MS))
    yield* advance(house, trial)
  })

const draw = (house: TrialHouse, open: ReadonlyArray<Trial>, { drawnAt }: Watermark, room: number, now: number) =>
  Effect.gen(function* () {
    const { settings } = yield* house.settings.current
    const elapsed = Math.min(Math.max(0, now - drawnAt), ELAPSED_MAX_MS)
    const isDue = isAskedFor(settings) || elapsed >= RARELY_MS
    if (!isDue || elapsed === 0) return { trials: [], drawnAt: elapsed === 0 ? now : drawnAt }
    return { trials: yield* plan(house, open, elapsed, now, room), drawnAt: now }
  })
