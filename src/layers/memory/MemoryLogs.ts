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
  query: (scope, { type, jobId, limit, ...span }) =>
    Effect.sync(() =>
      state.logs
        .map(({ entry }) => entry)
        .filter(
          (entry) =>
            sees(scope, entry.namespaceId) &&
            (type === undefined || entry.type === type) &&
            (jobId === undefined || entry.jobId === jobId) &&
            within(entry.at, span)
        )
        .toSorted((a, b) => a.at - b.at)
        .slice(0, Math.max(limit, 0))
    )
})

export const layer = Layer.effect(
  Logs.Logs,
  Effect.map(MemoryRecords, (state) => Logs.make(driver(state)))
)
