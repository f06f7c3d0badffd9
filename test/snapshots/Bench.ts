/** What the tests of snapshots share: rows in memory, cold storage that can be broken, a key, and snapshots of those. */
import { Effect, Stream } from "effect"
import type { Driver } from "../../src/layers/Archive.ts"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import * as MemoryStateRows from "../../src/layers/memory/MemoryStateRows.ts"
import type { StateRows } from "../../src/layers/StateRows.ts"
import { create, type Making } from "../../src/snapshots/Creating.ts"
import { testKey } from "../support/networkKey.ts"
import { fillingsOf, type StateSample } from "../support/stateFactories.ts"

export const AT = 1_790_000_000_000
export const quiet = () => Effect.void

export interface Cold extends Driver {
  readonly held: Map<string, Uint8Array>
  /** Names of blobs in the order in which they were put. */
  readonly puts: Array<string>
}

export const coldStorage = (): Cold => {
  const held = new Map<string, Uint8Array>()
  const puts: Array<string> = []
  return {
    held,
    puts,
    put: (name, bytes) =>
      Effect.sync(() => {
        puts.push(name)
        held.set(name, Uint8Array.from(bytes))
      }),
    remove: (name) => Effect.sync(() => void held.delete(name)),
    get: (name) => Effect.sync(() => held.get(name) ?? null),
    names: (prefix) => Effect.sync(() => [...held.keys()].filter((name) => name.startsWith(prefix)).toSorted())
  }
}

export const flip = (bytes: Uint8Array, at: number): void => {
  bytes[at] = (bytes[at] ?? 0) ^ 1
}

export const memoryRows = (sample: StateSample) => {
  const state = MemoryStateRows.makeState()
  for (const [name, rows] of sample) state.tables.set(name, rows)
  return { state, rows: MemoryStateRows.over(state) }
}

export const making = (rows: StateRows["Service"], blobs: Driver): Making => ({
  rows,
  blobs,
  key: testKey,
  environment: "testnet",
  records: JobRecords.of({ get: () => Effect.succeed(null) } as never)
})

export const snapshotOf = (rows: StateRows["Service"], blobs: Driver, at = AT) =>
  create(making(rows, blobs), { at, full: false }, quiet)

export const fill = (store: StateRows["Service"], sample: StateSample) =>
  store.fill(Stream.fromIterable(fillingsOf(sample)))
