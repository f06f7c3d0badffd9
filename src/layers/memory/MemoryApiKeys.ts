/** Keys in memory, by the digest of their secret; the secret itself never comes here. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { NamespaceId } from "../../schemas/Ids.ts"
import type { ApiKey } from "../../schemas/Namespace.ts"
import { refuse } from "../../schemas/Refusal.ts"
import { ApiKeys, type Driver, make } from "../ApiKeys.ts"
import { byText } from "./MemoryRecords.ts"
import { MemoryState, type State } from "./MemoryState.ts"

const driver = (state: State): Driver => ({
  insert: (key, digest) =>
    Effect.suspend(() => {
      if (!state.accounts.has(key.namespaceId)) {
        return Effect.fail(refuse("not_found", "There is no such namespace."))
      }
      const known = state.keys.get(digest)
      if (known?.id === key.id) return Effect.succeed(known)
      if (known !== undefined || state.digests.has(key.id)) {
        return Effect.die(new Error(`the key ${key.id} or its digest is stored already`))
      }
      state.keys.set(digest, key)
      state.digests.set(key.id, digest)
      return Effect.succeed(key)
    }),
  find: (digest) =>
    Effect.sync(() => {
      const key = state.keys.get(digest)
      const account = key === undefined ? undefined : state.accounts.get(key.namespaceId)
      return key === undefined || account === undefined ? null : { key, keyId: key.id, namespace: account.namespace }
    }),
  revoke: (id, at) =>
    Effect.suspend(() => {
      const digest = state.digests.get(id)
      const key = digest === undefined ? undefined : state.keys.get(digest)
      if (digest === undefined || key === undefined) return Effect.fail(refuse("not_found", "There is no such key."))
      const revoked = { ...key, revokedAt: key.revokedAt ?? at }
      state.keys.set(digest, revoked)
      return Effect.succeed(revoked)
    }),
  list: (namespaceId) => Effect.sync(() => newestFirst(state, namespaceId))
})

const newestFirst = (state: State, namespaceId: NamespaceId | null): ReadonlyArray<ApiKey> =>
  [...state.keys.values()]
    .filter((key) => namespaceId === null || key.namespaceId === namespaceId)
    .toSorted((a, b) => b.createdAt - a.createdAt || byText(b.id, a.id))

export const layer: Layer.Layer<ApiKeys, never, MemoryState> = Layer.effect(
  ApiKeys,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
