/**
 * Blobs in a Map, copied on the way in and out, so nobody changes an archive by holding its bytes. A test breaks it through the state:
 * `refusesPut` makes writes fail by name, and `flipByte` is what a bad disk does.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Archive from "../Archive.ts"
import { MemoryRecords, type State } from "./MemoryRecords.ts"

const driver = (state: State): Archive.Driver => ({
  put: (name, bytes) =>
    state.refusesPut(name)
      ? Effect.fail(Archive.outage("put")(new Error(`no room for ${name}`)))
      : Effect.sync(() => {
          state.blobs.set(name, Uint8Array.from(bytes))
        }),
  get: (name) =>
    Effect.sync(() => {
      const bytes = state.blobs.get(name)
      return bytes === undefined ? null : Uint8Array.from(bytes)
    }),
  remove: (name) =>
    Effect.sync(() => {
      state.blobs.delete(name)
    }),
  names: (prefix) => Effect.sync(() => [...state.blobs.keys()].filter((name) => name.startsWith(prefix)).toSorted())
})

/** Turns one bit of the blob; false when there is no such byte. */
export const flipByte = (state: State, name: string, index: number): boolean => {
  const bytes = state.blobs.get(name)
  const byte = bytes?.[index]
  if (bytes === undefined || byte === undefined) return false
  bytes[index] = byte ^ 1
  return true
}

export const layer = Layer.effect(
  Archive.Archive,
  Effect.map(MemoryRecords, (state) => Archive.make(driver(state)))
)
