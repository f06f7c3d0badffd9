/** Which nodes are here, in one hash each with sets and sums beside them, so that no question of a client looks at every node. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Endpoint } from "../../schemas/Job.ts"
import type { NodePresence } from "../../schemas/NodeProfile.ts"
import { type Driver, type LiveModel, LiveNodes, make } from "../LiveNodes.ts"
import { fromKeyText } from "./KeyText.ts"
import { changedFieldsOf, fieldsOf, presenceOf, servedOf } from "./PresenceFields.ts"
import { RedisClient } from "./RedisClient.ts"
import type { ScriptName } from "./Scripts.ts"

type Views = ReadonlyArray<ReadonlyArray<string>>

/** Nodes of one call while all are listed: between two calls, dispatch has its turn. */
const PAGE = 200

const driver = ({ script }: RedisClient["Service"]): Driver => {
  const ask = (name: ScriptName, args: ReadonlyArray<string | number>) => script("LiveNodes", name, args)
  const views = (now: number, ids: ReadonlyArray<string>) =>
    Effect.map(ask("get", [now, ...ids]), (found) => (found as Views).map(presenceOf))
  return {
    announce: (presence, expiresAt) => {
      const { nodeId, sessionId, generation, environment, slots, models } = presence
      const head = [nodeId, sessionId, generation, environment, slots, servedOf(models), expiresAt]
      return Effect.map(ask("announce", [...head, ...fieldsOf(presence)]), (answer) => answer === 1)
    },
    refresh: (nodeId, sessionId, change, expiresAt) => {
      const served = change.models === undefined ? "" : servedOf(change.models)
      const head = [nodeId, sessionId, change.seenAt, expiresAt, served]
      return Effect.map(ask("refresh", [...head, ...changedFieldsOf(change)]), (answer) => answer === 1)
    },
    withdraw: (nodeId, sessionId) => Effect.asVoid(ask("withdraw", [nodeId, sessionId])),
    get: (nodeId, now) => Effect.map(views(now, [nodeId]), ([presence]) => presence ?? null),
    list: (now) =>
      Effect.gen(function* () {
        const ids = ((yield* ask("ids", [now])) as ReadonlyArray<string>).toSorted()
        const all: Array<NodePresence> = []
        for (let from = 0; from < ids.length; from += PAGE)
          all.push(...(yield* views(now, ids.slice(from, from + PAGE))))
        return all
      }),
    models: (environment, now) =>
      Effect.map(ask("models", [environment, now]), (found) =>
        (found as Views).map(modelOf).toSorted((a, b) => (a.name < b.name ? -1 : 1))
      )
  }
}

const ENDPOINTS: ReadonlyArray<Endpoint> = ["chat", "completions", "embeddings"]

const modelOf = ([name = "", nodes, slots, leased, ...counts]: ReadonlyArray<string>): LiveModel => ({
  name: fromKeyText(name),
  endpoints: ENDPOINTS.filter((_, at) => Number(counts[at]) > 0),
  nodes: Number(nodes),
  slots: Number(slots),
  leased: Number(leased)
})

export const layer: Layer.Layer<LiveNodes, never, RedisClient> = Layer.effect(
  LiveNodes,
  Effect.map(RedisClient, (client) => make(driver(client)))
)
