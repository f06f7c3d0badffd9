/** The typed log in one array, in order of arrival. Two entries of one instant keep that order. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logs from "../Logs.ts"
import { MemoryRecords, sees, within, type State } from "./MemoryRecords.ts"

const driver = (state: State): Logs.Driver => ({
  append: (entries) =>
    Effect.sync(() => {
      for (const entry of entries) state.logs.push({ number: ++state.logsSeen, entry })
    }),
  page: (scope, { type, jobId, limit, after, ...span }) =>
    Effect.sync(() =>
      state.logs
        .filter(
          ({ number, entry }) =>
            sees(scope, entry.namespaceId) &&
            (type === undefined || entry.type === type) &&
            (jobId === undefined || entry.jobId === jobId) &&
            within(entry.at, span) &&
            (after === undefined || entry.at > after.at || (entry.at === after.at && number > Number(after.id)))
        )
        .toSorted((a, b) => a.entry.at - b.entry.at)
        .slice(0, Math.max(limit, 0))
        .map(({ number, entry }) => ({ place: { at: entry.at, id: String(number) }, entry }))
    )
})

export const layer = Layer.effect(
  Logs.Logs,
  Effect.map(MemoryRecords, (state) => Logs.make(driver(state)))
)
