/**
 * What does the memory transport carry? Publish, take and acknowledge through one lane, against the same envelopes through a
 * bare Effect Queue in the same run. In bursts: one fiber publishes while another takes, as in a daemon.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import { MemoryBroker } from "../src/layers/memory/MemoryBroker.ts"
import * as MemoryTransport from "../src/layers/memory/MemoryTransport.ts"
import { type Target, Transport } from "../src/layers/Transport.ts"
import { ENVELOPE_VERSION, type Envelope } from "../src/schemas/Envelope.ts"
import { EnvelopeId } from "../src/schemas/Ids.ts"
import { type Line, times } from "./support/Line.ts"

const messages = 200_000
const backlog = 100_000
const prefetch = 32
const burst = 1_000

const lane = (model: string) => ({
  _tag: "Lane" as const,
  lane: { environment: "testnet" as const, subcloud: "global", model, priority: "normal" as const }
})

const envelope: Envelope = {
  version: ENVELOPE_VERSION,
  id: EnvelopeId.make("msg_bench"),
  message: { _tag: "Lead", sweeper: "bench" },
  replyTo: null,
  deadlineAt: null,
  attempt: 0,
  traceparent: null
}

const inThousands = (rate: number): string => `${(rate / 1000).toFixed(0)} k/s`

const perSecond = <E, R>(howMany: number, work: Effect.Effect<unknown, E, R>) =>
  Effect.map(Effect.timed(work), ([took]) => howMany / Duration.toSeconds(took))

const publishing = (publish: Effect.Effect<unknown, unknown>, howMany: number) =>
  Effect.gen(function* () {
    for (let i = 1; i <= howMany; i++) {
      yield* publish
      if (i % burst === 0) yield* Effect.yieldNow
    }
  })

const consuming = Effect.fnUntraced(function* (source: Extract<Target, { readonly _tag: "Lane" }>, howMany: number) {
  const { take } = yield* (yield* Transport).consume(source, prefetch)
  let done = 0
  while (done < howMany) {
    const deliveries = yield* take
    for (const { ack } of deliveries) yield* ack
    done += deliveries.length
  }
}, Effect.scoped)

const bareQueue = Effect.gen(function* () {
  const queue = yield* Queue.bounded<Envelope>(messages)
  const taking = Effect.gen(function* () {
    for (let i = 0; i < messages; i++) yield* Queue.take(queue)
  })
  const fiber = yield* Effect.forkChild(taking)
  yield* publishing(Queue.offer(queue, envelope), messages)
  yield* Fiber.join(fiber)
})

const throughLane = Effect.gen(function* () {
  const { publish } = yield* Transport
  const target = lane("busy")
  const fiber = yield* Effect.forkChild(consuming(target, messages))
  yield* publishing(publish(target, envelope), messages)
  yield* Fiber.join(fiber)
})

const oneByOne = Effect.gen(function* () {
  const { publish, consume } = yield* Transport
  const target = lane("slow")
  const { take } = yield* consume(target, 1)
  for (let i = 0; i < backlog; i++) {
    yield* publish(target, envelope)
    for (const { ack } of yield* take) yield* ack
  }
})

const throughBacklog = Effect.gen(function* () {
  const { publish } = yield* Transport
  const target = lane("waiting")
  yield* publishing(publish(target, envelope), backlog)
  yield* consuming(target, backlog)
})

export const run = (): Promise<Array<Line>> =>
  Effect.gen(function* () {
    for (const warm of [bareQueue, throughLane]) yield* warm
    const bare = yield* perSecond(messages, bareQueue)
    const busy = yield* perSecond(messages, throughLane)
    const single = yield* perSecond(backlog, oneByOne)
    const waiting = yield* perSecond(backlog, throughBacklog)
    const against = `${inThousands(bare)} bare Queue offer and take`
    return [
      {
        what: `publish + take + ack, prefetch ${prefetch}`,
        value: inThousands(busy),
        against,
        ratio: times(busy / bare)
      },
      { what: "publish + take + ack, one at a time", value: inThousands(single), against, ratio: times(single / bare) },
      {
        what: `publish + take + ack, through ${backlog} waiting`,
        value: inThousands(waiting),
        against,
        ratio: times(waiting / bare)
      }
    ]
  }).pipe(
    Effect.scoped,
    Effect.provide(MemoryTransport.layer.pipe(Layer.provideMerge(MemoryBroker.layer))),
    Effect.runPromise
  )

if (import.meta.main) console.table(await run())
