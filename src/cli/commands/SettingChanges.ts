/**
 * `KEY=VALUE` words as one change of the settings. A model's name may hold dots, so a key is never simply cut at them: the first word is the
 * setting, and of a price or a promise the last one is the kind.
 */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { DetectorRules, SlaTarget } from "../../schemas/DetectorRules.ts"
import { Price, RuntimeSettings } from "../../schemas/RuntimeSettings.ts"
import { type CliFailed, usage } from "../CliFailed.ts"

export const SETTINGS: ReadonlyArray<string> = Object.keys(RuntimeSettings.fields)
const PRICE_KINDS = Object.keys(Price.fields)
const TARGET_KINDS = Object.keys(SlaTarget.fields)

export const changesOf = (words: ReadonlyArray<string>): Result.Result<Schema.JsonObject, CliFailed> =>
  Result.gen(function* () {
    const changes: Record<string, Schema.Json> = {}
    for (const word of words) {
      const cut = word.indexOf("=")
      if (cut < 1) return yield* Result.fail(usage(`${JSON.stringify(word)} is not KEY=VALUE`))
      const [path, text] = [pathOf(word.slice(0, cut)), word.slice(cut + 1)]
      if (!SETTINGS.includes(path[0] ?? "")) {
        return yield* Result.fail(usage(`there is no setting ${path[0] ?? ""}; there are ${SETTINGS.join(", ")}`))
      }
      put(changes, path, yield* valueOf(path, text))
    }
    return changes
  })

/** `detectors.abuse.rejectionsMax` → each word; `detectors.sla.targets.model/llama-3.1.totalMs` → detectors, sla, targets, model/llama-3.1, totalMs. */
const detectorPathOf = (words: ReadonlyArray<string>): ReadonlyArray<string> => {
  const [detector = "", rule, ...rest] = words
  if (rule !== "targets" || rest.length === 0 || !(detector in DetectorRules.fields)) return ["detectors", ...words]
  const kind = rest.at(-1) ?? ""
  const named = TARGET_KINDS.includes(kind) && rest.length > 1 ? [rest.slice(0, -1).join("."), kind] : [rest.join(".")]
  return ["detectors", detector, rule, ...named]
}

/** `prices.llama-3.1.perOutputToken` → prices, llama-3.1, perOutputToken; `aliases.gpt-4.1` → aliases, gpt-4.1; `retention` has no names with dots. */
const pathOf = (key: string): ReadonlyArray<string> => {
  const [setting = "", ...rest] = key.split(".")
  if (rest.length === 0) return [setting]
  if (setting === "detectors") return detectorPathOf(rest)
  if (setting === "retention") return [setting, ...rest]
  const kind = rest.at(-1) ?? ""
  const isPrice = setting === "prices" && rest.length > 1 && PRICE_KINDS.includes(kind)
  return isPrice ? [setting, rest.slice(0, -1).join("."), kind] : [setting, rest.join(".")]
}

const valueOf = (path: ReadonlyArray<string>, text: string): Result.Result<Schema.Json, CliFailed> => {
  const [setting] = path
  const isText =
    (setting === "prices" && path.length === 3) ||
    (setting === "aliases" && path.length === 2) ||
    (setting === "detectors" && path.at(-1) === "restrict") ||
    (setting === "retention" && path[1] === "withoutArchive")
  if (isText) return Result.succeed(text === "null" ? null : text)
  try {
    return Result.succeed(JSON.parse(text) as Schema.Json)
  } catch {
    return Result.fail(usage(`${path.join(".")}: ${JSON.stringify(text)} is no number and no other JSON`))
  }
}

const put = (
  into: Record<string, Schema.Json>,
  [key = "", ...rest]: ReadonlyArray<string>,
  value: Schema.Json
): void => {
  if (rest.length === 0) {
    into[key] = value
    return
  }
  const known = into[key]
  const below: Record<string, Schema.Json> = isFields(known) ? { ...known } : {}
  put(below, rest, value)
  into[key] = below
}

const isFields = (value: Schema.Json | undefined): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)
