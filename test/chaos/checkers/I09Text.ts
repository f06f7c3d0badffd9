/** I9: no text of a prompt or an answer in the deciding store, on the broker, in logs or incidents. Each prompt holds a word that stands nowhere else. */
import type { Checker, Scene } from "../support/History.ts"

export const I09: Checker = {
  name: "I09",
  atEnd: (scene) => {
    const words = [
      ...scene.history.canaries.map(({ word }) => word),
      ...scene.history.clients.flatMap(({ expected }) => expected.map(beginning))
    ].filter((word) => word !== "")
    if (words.length === 0) return []
    const anyWord = new RegExp(words.map((word) => word.replaceAll(/[$()*+.?[\\\]^{|}]/g, "\\$&")).join("|"))
    return placesOf(scene).flatMap(([place, things]) => {
      const found = anyWord.exec(textOf(things))?.[0]
      return found === undefined ? [] : [`"${found}" stands in ${place}`]
    })
  }
}

/** Enough words that no code or id is made of them. */
const beginning = (answer: string): string => {
  const words = answer.split(" ")
  return words.length < 3 ? "" : words.slice(0, 3).join(" ")
}

const placesOf = ({ state, records, history }: Scene): ReadonlyArray<readonly [string, unknown]> => [
  ["the rows of jobs", [...state.jobs.values()].map(({ row, events }) => [row, events])],
  ["the outbox", [...state.outbox.values()]],
  ["messages", history.published],
  ["the credit entries", [...state.accounts.values()].map(({ entries }) => entries)],
  ["the namespaces' logs", records.logs.map(({ entry }) => entry)],
  ["the daemons' logs", history.logs],
  ["incidents", [...records.incidents.values()]],
  ["the sweepers", [...state.sweepers.values()]]
]

/** Every text in it, and every name of a field. */
const textOf = (things: unknown): string => {
  const texts: Array<string> = []
  const visit = (thing: unknown): void => {
    if (typeof thing === "string") texts.push(thing)
    else if (Array.isArray(thing)) thing.forEach(visit)
    else if (typeof thing === "object" && thing !== null) {
      for (const [name, value] of Object.entries(thing)) {
        texts.push(name)
        visit(value)
      }
    }
  }
  visit(things)
  return texts.join("\n")
}
