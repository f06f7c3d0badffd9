/** Versions of the runtime's rules in the embedded database: one row each, never changed, numbered without a gap. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { RuntimeSettings, type SettingsVersion } from "../../schemas/RuntimeSettings.ts"
import type { Outage } from "../Outage.ts"
import { make, Settings } from "../Settings.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "Settings", method })

const codec = Schema.fromJsonString(Schema.toCodecJson(RuntimeSettings))
const encode = Schema.encodeSync(codec)
const decode = Schema.decodeSync(codec)

export const layer: Layer.Layer<Settings, Outage, SqliteClient> = Layer.effect(
  Settings,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return yield* make({
      append: (version) => write(during("append"), (sql) => Result.succeed(append(sql, version))),
      latest: read(during("latest"), (sql) => newest(sql, 1)[0] ?? null),
      history: (limit) => read(during("history"), (sql) => newest(sql, limit))
    })
  })
)

const append = (sql: Sql, version: SettingsVersion): boolean => {
  const { digest, settings, by, reason, at } = version
  const { changes } = sql(`INSERT INTO config_version (version, digest, settings, by, reason, at)
    SELECT :version, :digest, :settings, :by, :reason, :at
    WHERE :version = (SELECT coalesce(max(version), 0) + 1 FROM config_version)`).run({
    version: version.version,
    digest,
    settings: encode(settings),
    by,
    reason,
    at
  })
  return changes > 0
}

const newest = (sql: Sql, limit: number): ReadonlyArray<SettingsVersion> =>
  sql("SELECT * FROM config_version ORDER BY version DESC LIMIT max(?, 0)").all(limit).map(versionOf)

const versionOf = (stored: Record<string, unknown>): SettingsVersion => ({
  version: stored["version"] as number,
  digest: stored["digest"] as string,
  settings: decode(stored["settings"] as string),
  by: stored["by"] as string,
  reason: stored["reason"] as string,
  at: stored["at"] as number
})
