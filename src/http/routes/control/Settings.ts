/** The runtime's rules: a change names what changes and why, and makes a whole new version. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Settings } from "../../../layers/Settings.ts"
import { RuntimeSettings, SettingsVersion } from "../../../schemas/RuntimeSettings.ts"
import type { Call } from "../../Call.ts"
import { jsonObject } from "../../Call.ts"
import { decoder } from "../../Decode.ts"
import { audit, readOrder } from "../../Operator.ts"
import { readInt, readQuery } from "../../Query.ts"
import { open } from "../../Route.ts"

export const SettingsOrder = Schema.Struct({ changes: Schema.JsonObject })
const readChanges = readOrder(SettingsOrder)

const encodeSettings = Schema.encodeSync(Schema.toCodecJson(RuntimeSettings))
const encodeVersion = Schema.encodeSync(Schema.toCodecJson(SettingsVersion))
const decodeSettings = decoder(RuntimeSettings, { strict: true, at: "changes" })

/** In JSON form, where prices are whole micro-credits. */
const viewOf = (version: SettingsVersion) => encodeVersion(version) as Schema.JsonObject

const current = open(() =>
  Effect.flatMap(Settings, ({ current }) => Effect.map(current, (version) => jsonObject(viewOf(version))))
)

const change = open(
  Effect.fnUntraced(function* (call: Call) {
    const order = yield* readChanges(call)
    const settings = yield* Settings
    const { settings: before } = yield* settings.refresh
    const { changes } = order.body
    const wanted = yield* decodeSettings(merged(encodeSettings(before) as Schema.JsonObject, changes))
    const { reason, by, at } = order
    const version = yield* settings.publish({ settings: wanted, by, reason, at })
    yield* audit(order, "settings.publish", `settings/${version.version}`, { changes, digest: version.digest })
    return jsonObject(viewOf(version))
  })
)

/** Objects are merged key by key, one level down; null takes a key out. */
const merged = (before: Schema.JsonObject, changes: Schema.JsonObject): Schema.JsonObject => {
  const after: Record<string, Schema.Json> = { ...before }
  for (const [key, value] of Object.entries(changes)) {
    const old = after[key]
    if (value === null) delete after[key]
    else after[key] = isFields(value) && old !== undefined && isFields(old) ? merged(old, value) : value
  }
  return after
}

const isFields = (value: Schema.Json): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const history = open(
  Effect.fnUntraced(function* (call: Call) {
    const query = yield* readQuery(call.query, ["limit"])
    const limit = yield* readInt("limit", query.limit, { least: 1, most: 1000, otherwise: 50 })
    const versions = yield* (yield* Settings).history(limit)
    return jsonObject({ data: versions.map(viewOf) })
  })
)

export const settingsRoutes = { getSettings: current, changeSettings: change, listSettings: history }
