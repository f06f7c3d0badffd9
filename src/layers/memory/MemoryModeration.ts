/**
 * Moderation by lists of words, which stand in the settings: whole words, whatever their case, in what was asked or answered. Without lists, which is how
 * an installation begins, it finds nothing.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import { Moderation, make, type Moderated } from "../Moderation.ts"
import { Settings } from "../Settings.ts"

const escaped = (word: string): string => word.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** Letters and digits of any script make a word. */
const patternOf = (words: ReadonlyArray<string>): RegExp =>
  new RegExp(`(?<![\\p{L}\\p{N}])(?:${words.map(escaped).join("|")})(?![\\p{L}\\p{N}])`, "iu")

/** Every text in a value, however deep; the names of fields are the protocol's. */
const textsOf = (value: Schema.Json): ReadonlyArray<string> => {
  if (typeof value === "string") return [value]
  if (typeof value !== "object" || value === null) return []
  return Object.values(value).flatMap((member: Schema.Json) => textsOf(member))
}

const found = (patterns: ReadonlyMap<string, RegExp>, { request, choices }: Moderated): ReadonlyArray<string> => {
  if (patterns.size === 0) return []
  const texts = [...textsOf(request), ...choices.map(({ text }) => text)]
  return [...patterns].flatMap(([flag, pattern]) => (texts.some((text) => pattern.test(text)) ? [flag] : []))
}

export const layer = Layer.effect(
  Moderation,
  Effect.map(Settings, (settings) => {
    let version = 0
    let patterns: ReadonlyMap<string, RegExp> = new Map()
    return make({
      flags: (moderated) =>
        Effect.map(settings.current, (current) => {
          if (current.version !== version) {
            version = current.version
            const lists = Object.entries(current.settings.moderation).filter(([, words]) => words.length > 0)
            patterns = new Map(lists.map(([flag, words]) => [flag, patternOf(words)]))
          }
          return found(patterns, moderated)
        })
    })
  })
)
