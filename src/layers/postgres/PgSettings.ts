/** Versions of the runtime's rules: one row each, never changed, numbered without a gap. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { RuntimeSettings, type SettingsVersion } from "../../schemas/RuntimeSettings.ts"
import type { Outage } from "../Outage.ts"
import { make, Settings } from "../Settings.ts"
import { PgClient } from "./PgClient.ts"
import { freeText, fromFreeText, limited, text, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "Settings", method })

const codec = Schema.fromJsonString(Schema.toCodecJson(RuntimeSettings))
const encode = Schema.encodeSync(codec)
const decode = Schema.decodeSync(codec)

interface StoredVersion {
  readonly version: number
  readonly digest: string
  readonly settings: string
  readonly by: string
  readonly reason: string
  readonly at: bigint
}

const versionOf = (stored: StoredVersion): SettingsVersion => ({
  version: stored.version,
  digest: stored.digest,
  settings: decode(stored.settings),
  by: fromFreeText(stored.by),
  reason: fromFreeText(stored.reason),
  at: Number(stored.at)
})

const APPEND = `INSERT INTO config_version (version, digest, settings, by, reason, at)
  SELECT $1::int, $2, $3, $4, $5, $6 WHERE $1::int = (SELECT coalesce(max(version), 0) + 1 FROM config_version)
  ON CONFLICT DO NOTHING RETURNING version`

const NEWEST = "SELECT * FROM config_version ORDER BY version DESC LIMIT $1"

export const layer: Layer.Layer<Settings, Outage, PgClient> = Layer.effect(
  Settings,
  Effect.gen(function* () {
    const { query } = yield* PgClient
    const newest = (method: string, limit: number) =>
      Effect.map(query<StoredVersion>(during(method), NEWEST, [limited(limit)]), (rows) => rows.map(versionOf))
    return yield* make({
      append: ({ version, digest, settings, by, reason, at }) =>
        Effect.map(
          query(during("append"), APPEND, [
            whole(version),
            text(digest),
            text(encode(settings)),
            freeText(by),
            freeText(reason),
            whole(at)
          ]),
          (rows) => rows.length > 0
        ),
      latest: Effect.map(newest("latest", 1), ([version]) => version ?? null),
      history: (limit) => newest("history", limit)
    })
  })
)
