/**
 * What every Settings must do, whatever it is made of. Versions are one chain for the whole store, so the tests count from the one they find.
 * `another` is a second daemon's copy over the same store.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import { digestOf, type Publication, Settings } from "../../../src/layers/Settings.ts"
import { initialSettings, RuntimeSettings } from "../../../src/schemas/RuntimeSettings.ts"
import { credits, freshTime, unique } from "../../support/factories.ts"
import { timesAtOnce } from "./StateProbes.ts"

export interface SettingsCapabilities<E> {
  /** A layer that reads the store anew each time it is built. */
  readonly another?: Layer.Layer<Settings, E>
}

const initial = Schema.decodeSync(RuntimeSettings)(initialSettings)

const aPublication = (over: Partial<RuntimeSettings> = {}): Publication => ({
  settings: { ...initial, ...over },
  by: "operator/control",
  reason: `change ${unique()}`,
  at: freshTime()
})

export const settingsContract = <E>(
  backEnd: string,
  over: Layer.Layer<Settings, E>,
  { another }: SettingsCapabilities<E> = {}
) =>
  layer(over, { excludeTestServices: true })(`Settings on ${backEnd}`, (it) => {
    it.effect("has a first version from the beginning, whose content is that of an installation", () =>
      Effect.gen(function* () {
        const settings = yield* Settings
        const { version } = yield* settings.current
        const [first] = (yield* settings.history(version)).slice(-1)
        assert.deepInclude(first, { version: 1, digest: digestOf(initial), by: "runtime" })
        assert.deepStrictEqual(first?.settings, initial)
      })
    )

    it.effect("makes the next version current, with who and why", () =>
      Effect.gen(function* () {
        const settings = yield* Settings
        const before = yield* settings.current
        const publication = aPublication({
          failuresMax: 7,
          aliases: { 'it\'s "é"': "tiny" },
          prices: {
            tiny: { perPromptToken: credits(2n ** 60n), perOutputToken: credits(1), perRequest: credits(0) }
          }
        })
        const next = yield* settings.publish(publication)

        const expected = { ...publication, version: before.version + 1, digest: digestOf(publication.settings) }
        assert.deepStrictEqual(next, expected)
        assert.deepStrictEqual(yield* settings.current, next)
        assert.deepStrictEqual(yield* settings.history(2), [next, before])
      })
    )

    it.effect("rolls back by a new version with the old content and the old digest", () =>
      Effect.gen(function* () {
        const settings = yield* Settings
        const good = yield* settings.publish(aPublication({ graceMs: 1_234 }))
        const bad = yield* settings.publish(aPublication({ graceMs: 1 }))
        const back = yield* settings.publish({ ...aPublication(), settings: good.settings })

        assert.notStrictEqual(bad.digest, good.digest)
        assert.deepStrictEqual(
          [back.version, back.digest, back.settings],
          [good.version + 2, good.digest, good.settings]
        )
        assert.deepStrictEqual(yield* settings.history(3), [back, bad, good])
      })
    )

    it.effect("has one digest for one content, however often it was stored and however its keys are ordered", () =>
      Effect.gen(function* () {
        const settings = yield* Settings
        const reversed = Object.fromEntries(Object.entries(initial).toReversed()) as unknown as RuntimeSettings
        const { digest } = yield* settings.publish({ ...aPublication(), settings: reversed })
        yield* settings.refresh
        const stored = yield* settings.current
        assert.strictEqual(digest, digestOf(initial))
        assert.strictEqual(digestOf(stored.settings), digest)
      })
    )

    it.effect("makes a gap-free chain of twenty versions that are published at once", () =>
      Effect.gen(function* () {
        const settings = yield* Settings
        const { version } = yield* settings.current
        const published = yield* timesAtOnce(20, (n) => settings.publish(aPublication({ outboxMax: n + 1 })))
        const newest = yield* settings.history(20)
        assert.deepStrictEqual(
          newest.map((each) => each.version),
          Array.from({ length: 20 }, (_, n) => version + 20 - n)
        )
        assert.deepStrictEqual(
          published.toSorted((a, b) => b.version - a.version),
          newest
        )
      })
    )

    it.effect.skipIf(another === undefined)(
      "sees what another daemon published after a refresh, and builds on it",
      () =>
        Effect.gen(function* () {
          const settings = yield* Settings
          const mine = yield* settings.publish(aPublication())
          const publication = aPublication({ idleMs: 777 })
          const theirs = yield* Effect.flatMap(Settings, (other) =>
            Effect.gen(function* () {
              assert.deepStrictEqual(yield* other.current, mine)
              return yield* other.publish(publication)
            })
          ).pipe(Effect.provide(another!, { local: true }))

          assert.deepStrictEqual(yield* settings.current, mine, "until it looks")
          assert.deepStrictEqual(yield* settings.refresh, theirs)
          assert.deepStrictEqual(yield* settings.current, theirs)
          assert.strictEqual((yield* settings.publish(aPublication())).version, theirs.version + 1)
        })
    )

    it.effect.skipIf(another === undefined)("publishes after another daemon's version without looking first", () =>
      Effect.gen(function* () {
        const settings = yield* Settings
        const theirs = yield* Effect.flatMap(Settings, (other) => other.publish(aPublication())).pipe(
          Effect.provide(another!, { local: true })
        )
        assert.strictEqual((yield* settings.publish(aPublication())).version, theirs.version + 1)
      })
    )
  })
