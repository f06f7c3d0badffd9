/** Pieces between daemons over pub/sub: a channel for each daemon, nothing stored. Who receives has a connection of its own. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type { DaemonId } from "../../schemas/Ids.ts"
import type { Outage } from "../Outage.ts"
import { make, Relay, RELAYED_MAX, type RelayedPieces } from "../Relay.ts"
import { RedisClient } from "./RedisClient.ts"
import { outageOf } from "./RedisErrors.ts"

/** Whoever publishes nonsense does it often; it is told of once in that time, with how many there were. */
const TELL_EVERY = "10 seconds"

const receive = (client: RedisClient["Service"], channel: string) =>
  Effect.gen(function* () {
    const queue = yield* Queue.sliding<RelayedPieces, Outage>(RELAYED_MAX)
    const unreadable = yield* countUnreadable
    yield* client.listen("Relay", "receive", channel, {
      message: (text) => {
        const pieces = decode(text)
        if (pieces === null) unreadable()
        else Queue.offerUnsafe(queue, pieces)
      },
      close: () => Queue.failCauseUnsafe(queue, Cause.fail(broken()))
    })
    return { take: Queue.takeAll(queue) }
  })

const broken = () => outageOf("Relay", "take", new Error("the connection broke"))

const countUnreadable = Effect.gen(function* () {
  const news = yield* Queue.sliding<void>(1)
  let count = 0
  const telling = Effect.gen(function* () {
    yield* Queue.take(news)
    yield* Effect.logWarning("pieces that nobody can read were dropped", { count })
    count = 0
    yield* Effect.sleep(TELL_EVERY)
  })
  yield* Effect.forkScoped(Effect.forever(telling))
  return () => {
    count += 1
    Queue.offerUnsafe(news, undefined)
  }
})

const encode = ({ jobId, epoch, events }: RelayedPieces): string => JSON.stringify([jobId, epoch, events])

/** null: not of a daemon of ours. The hot path: what is there is trusted beyond its outline. */
const decode = (text: string): RelayedPieces | null => {
  const told = parsed(text)
  if (!Array.isArray(told)) return null
  const [jobId, epoch, events] = told as ReadonlyArray<unknown>
  return typeof jobId === "string" && Number.isInteger(epoch) && Array.isArray(events) && events.every(isPiece)
    ? ({ jobId, epoch, events } as unknown as RelayedPieces)
    : null
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const isPiece = (event: unknown): boolean => {
  if (typeof event !== "object" || event === null) return false
  const { seq, choice, text } = event as Readonly<Record<string, unknown>>
  return Number.isInteger(seq) && Number.isInteger(choice) && typeof text === "string"
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
