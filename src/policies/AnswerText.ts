/** How the texts of answers are compared: without letter case and white space, and JSON also within a fence. */
import type { JsonKind } from "../schemas/Quality.ts"

export const normal = (text: string): string => text.normalize("NFC").toLowerCase().replaceAll(/\s+/g, " ").trim()

/** What the text is as JSON; undefined when it is none. */
export const jsonWithin = (text: string): unknown => {
  const trimmed = text.trim()
  const fenced = /^```(?:json)?\s*\n([\s\S]*)\n```$/.exec(trimmed)
  try {
    return JSON.parse(fenced?.[1] ?? trimmed) as unknown
  } catch {
    return undefined
  }
}

export const kindOf = (value: unknown): JsonKind | null => {
  if (value === null) return "null"
  if (Array.isArray(value)) return "array"
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
    case "object":
      return typeof value as JsonKind
    default:
      return null
  }
}

/** Longer texts are compared by their beginning, so that the cost of one comparison is bounded. */
const COMPARED_MAX = 16_384

/**
 * How alike two answers are, 0 to 1: the share of word pairs that both have (Dice over bigrams of words), so that one changed word costs little and
 * another text everything. Symmetric; 1 for texts that are the same but for letter case and white space.
 */
export const likeness = (one: string, other: string): number => {
  const [left, right] = [normal(one.slice(0, COMPARED_MAX)), normal(other.slice(0, COMPARED_MAX))]
  if (left === right) return 1
  const [ours, theirs] = [pairs(left), pairs(right)]
  let [shared, total] = [0, 0]
  for (const [pair, count] of ours) {
    shared += Math.min(count, theirs.get(pair) ?? 0)
    total += count
  }
  for (const count of theirs.values()) total += count
  return total === 0 ? 0 : (2 * shared) / total
}

const pairs = (text: string): ReadonlyMap<string, number> => {
  const words = text === "" ? [] : text.split(" ")
  const found = new Map<string, number>()
  const count = (pair: string) => void found.set(pair, (found.get(pair) ?? 0) + 1)
  // The ends count as words, so that a single word is a text too.
  for (let at = 0; at <= words.length; at++) count(`${words[at - 1] ?? ""} ${words[at] ?? ""}`)
  return found
}
