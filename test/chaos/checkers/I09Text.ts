/** I9: no text of a prompt or an answer in the deciding store, on the broker, in logs or incidents. Each prompt holds a word that stands nowhere else. */
import type { Checker, Scene } from "../support/History.ts"

export const I09: Checker = {
  name: "I09",
  atEnd: (scene) => {
    const words = [
      ...scene.history.canaries.map(({ word }) => word),
      ...scene.history.clients.flatMap(({ expected }) => expected.map(beginning))
    ].filter((word) => word !== "")
    return placesOf(scene).flatMap(([place, things]) => {
      const text = jsonOf(things)
      const found = words.find((word) => text.includes(word))
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
  ["messages", history.calls.filter(({ point }) => point === "Transport.publish").map(({ args }) => args)],
  ["the credit entries", [...state.accounts.values()].map(({ entries }) => entries)],
  ["the namespaces' logs", records.logs.map(({ entry }) => entry)],
  ["the daemons' logs", history.logs],
  ["incidents", [...records.incidents.values()]],
  ["the sweepers", [...state.sweepers.values()]]
]

const jsonOf = (things: unknown): string =>
  JSON.stringify(things, (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value))
