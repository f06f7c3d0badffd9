/**
 * The versioned rules of the runtime (`RuntimeSettings`). Publishing makes a new version; a rollback is a new version with old
 * content. `current` is a copy in memory that never waits and never fails, so the job's road may ask it freely.
 */
import { createHash } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import { initialSettings, RuntimeSettings, SettingsVersion } from "../schemas/RuntimeSettings.ts"
import type { Outage } from "./Outage.ts"

export interface Driver {
  /** Stores the version that follows `version.version - 1`; false when another was faster. */
  readonly append: (version: SettingsVersion) => Effect.Effect<boolean, Outage>
  readonly latest: Effect.Effect<SettingsVersion | null, Outage>
  /** Newest first. */
  readonly history: (limit: number) => Effect.Effect<ReadonlyArray<SettingsVersion>, Outage>
}

export interface Publication {
  readonly settings: RuntimeSettings
  readonly by: string
  readonly reason: string
  readonly at: number
}

export class Settings extends Context.Service<
  Settings,
  {
    readonly current: Effect.Effect<SettingsVersion>
    readonly publish: (publication: Publication) => Effect.Effect<SettingsVersion, Outage>
    readonly history: Driver["history"]
    /** Looks for a version published by another daemon. */
    readonly refresh: Effect.Effect<SettingsVersion, Outage>
  }
>()("resultity/layers/Settings") {}

const encodeSettings = Schema.encodeSync(Schema.toCodecJson(RuntimeSettings))

export const digestOf = (settings: RuntimeSettings): string =>
  createHash("sha256")
    .update(canonicalJson(encodeSettings(settings)))
    .digest("hex")

const firstVersion = (): SettingsVersion => {
  const settings = Schema.decodeUnknownSync(RuntimeSettings)(initialSettings)
  return { version: 1, digest: digestOf(settings), settings, by: "runtime", reason: "installation", at: 0 }
}

/** Loads the newest version, publishing the first one into an empty store. */
export const make = (driver: Driver): Effect.Effect<Settings["Service"], Outage> =>
  Effect.gen(function* () {
    const known = yield* driver.latest
    const first = firstVersion()
    if (known === null) yield* driver.append(first)
    const cell = yield* Ref.make(known ?? (yield* driver.latest) ?? first)
    const refresh = Effect.tap(
      Effect.map(driver.latest, (latest) => latest ?? first),
      (latest) => Ref.set(cell, latest)
    )
    const publish = Effect.fn("Settings.publish")(function* ({ settings, by, reason, at }: Publication) {
      while (true) {
        const { version } = yield* refresh
        const next = { version: version + 1, digest: digestOf(settings), settings, by, reason, at }
        if (yield* driver.append(next)) {
          yield* Ref.set(cell, next)
          return next
        }
      }
    })
    return Settings.of({ current: Ref.get(cell), publish, history: driver.history, refresh })
  })
