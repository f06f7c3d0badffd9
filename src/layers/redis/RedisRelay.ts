/** Pieces between daemons over pub/sub: a channel for each daemon, nothing stored. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type { DaemonId } from "../../schemas/Ids.ts"
import { Outage } from "../Outage.ts"
import { make, Relay, RELAYED_MAX, type RelayedPieces } from "../Relay.ts"
import { RedisClient } from "./RedisClient.ts"

const receive = (client: RedisClient["Service"], channel: string) =>
  Effect.gen(function* () {
    const redis = yield* client.listener("Relay", "receive")
    const queue = yield* Queue.sliding<RelayedPieces, Outage>(RELAYED_MAX)
    redis.on("message", (_channel: string, text: string) => {
      const pieces = decode(text)
      if (pieces !== null) Queue.offerUnsafe(queue, pieces)
    })
    redis.on("close", () => Queue.failCauseUnsafe(queue, Cause.fail(broken())))
    yield* Effect.tryPromise({
      try: () => redis.subscribe(channel),
      catch: (cause) => new Outage({ of: "Relay", during: "receive", cause })
    })
    return { take: Queue.takeAll(queue) }
  })

const broken = () => new Outage({ of: "Relay", during: "take", cause: new Error("the connection broke") })

const encode = ({ jobId, epoch, events }: RelayedPieces): string => JSON.stringify([jobId, epoch, events])

/** null: not of a daemon of ours. The hot path: what is there is trusted beyond its outline. */
const decode = (text: string): RelayedPieces | null => {
  try {
    const told: unknown = JSON.parse(text)
    if (!Array.isArray(told)) return null
    const [jobId, epoch, events] = told
    return typeof jobId === "string" && Number.isInteger(epoch) && Array.isArray(events)
      ? ({ jobId, epoch, events } as unknown as RelayedPieces)
      : null
  } catch {
    return null
  }
}

export const layer: Layer.Layer<Relay, never, RedisClient> = Layer.effect(
  Relay,
  Effect.map(RedisClient, (client) => {
    const channelOf = (daemonId: DaemonId) => `${client.tag}:relay:${daemonId}`
    return make({
      send: (to, pieces) =>
        Effect.asVoid(client.run("Relay", "send", (redis) => redis.publish(channelOf(to), encode(pieces)))),
      receive: (daemonId) => receive(client, channelOf(daemonId))
    })
  })
)
