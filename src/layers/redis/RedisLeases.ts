/**
 * Slots of nodes as tokens in a sorted set by their end. Taking one is a script, so two dispatchers never take the same slot. Candidates are drawn by the
 * server, so a seed does not bring the same ones again.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { LeaseToken } from "../../schemas/Ids.ts"
import { type Candidates, type Driver, Leases, make, type SeenLease } from "../Leases.ts"
import { makeCapacity } from "./Capacity.ts"
import { toKeyText } from "./KeyText.ts"
import { presenceOf } from "./PresenceFields.ts"
import { RedisClient } from "./RedisClient.ts"
import type { ScriptName } from "./Scripts.ts"

type Drawn = readonly [free: number, serving: number, views: ReadonlyArray<ReadonlyArray<string>>]

/** Tokens, each with its end. */
type Flat = ReadonlyArray<string>

const pairsIn = (flat: Flat): ReadonlyArray<SeenLease> =>
  flat.flatMap((token, at) =>
    at % 2 === 0 ? [{ token: LeaseToken.make(token), expiresAt: Number(flat[at + 1]) }] : []
  )

const driver = (client: RedisClient["Service"], capacity: Driver["capacity"]): Driver => {
  const ask = (name: ScriptName, args: ReadonlyArray<string | number>) => client.script("Leases", name, args)
  return {
    candidates: ({ environment, model, sampleMax, except, now }) =>
      Effect.map(ask("candidates", [environment, toKeyText(model), sampleMax, now, ...except]), (drawn): Candidates => {
        const [free, serving, views] = drawn as Drawn
        return { nodes: views.map(presenceOf), free, serving }
      }),
    take: ({ nodeId, token, expiresAt }, now) =>
      Effect.map(ask("take", [nodeId, token, expiresAt, now]), (answer) => answer === 1),
    renew: ({ nodeId, token, expiresAt }, now) =>
      Effect.map(ask("renew", [nodeId, token, expiresAt, now]), (answer) => answer === 1),
    release: (nodeId, token) => Effect.asVoid(ask("release", [nodeId, token])),
    strangers: ({ nodeId, sessionId, known, max, now }) =>
      Effect.map(ask("strangers", [nodeId, sessionId, max, now, ...known]), (found) => pairsIn(found as Flat)),
    releaseUnchanged: (nodeId, sessionId, seen) =>
      Effect.map(
        ask("unchanged", [nodeId, sessionId, ...seen.flatMap(({ token, expiresAt }) => [token, expiresAt])]),
        Number
      ),
    capacity
  }
}

export const layer: Layer.Layer<Leases, never, RedisClient> = Layer.effect(
  Leases,
  Effect.gen(function* () {
    const client = yield* RedisClient
    return make(driver(client, yield* makeCapacity(client)))
  })
)
