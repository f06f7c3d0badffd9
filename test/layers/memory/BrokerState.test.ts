/** The broker's data under any order of what may happen to it: nothing lost, nothing beyond a prefetch, nobody left idle. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { type AnyConsumer, BrokerState } from "../../../src/layers/memory/BrokerState.ts"
import type { Delivery, Source, Target } from "../../../src/layers/Transport.ts"
import { aLane, anEnvelope } from "../contracts/LiveFactories.ts"

const Who = Schema.Literals([0, 1, 2])
const Step = Schema.Union([
  Schema.TaggedStruct("publish", {}),
  Schema.TaggedStruct("take", { who: Who }),
  Schema.TaggedStruct("ack", { who: Who }),
  Schema.TaggedStruct("nack", { who: Who }),
  Schema.TaggedStruct("cut", { who: Schema.Array(Who).check(Schema.isMinLength(1), Schema.isMaxLength(3)) }),
  Schema.TaggedStruct("attach", { who: Who })
])

const sources: ReadonlyArray<(name: string) => Source & Target> = [
  () => ({ _tag: "Lane", lane: aLane() }),
  (name) => ({ _tag: "Sweeper", name })
]

it.effect.prop(
  "keeps every message that was not acknowledged, and leaves no message waiting for a consumer that has room",
  { steps: Schema.Array(Step).check(Schema.isMinLength(5)), kind: Schema.Literals([0, 1]) },
  ({ steps, kind }) =>
    Effect.gen(function* () {
      const state = new BrokerState({ messagesMax: 1000, queuesMax: 10 })
      const source = sources[kind]!("sweeper")
      const prefetch = 2
      const consumers = Array.from({ length: 3 }, () => state.consume("daemon", source, prefetch) as AnyConsumer)
      const held: Array<Array<Delivery>> = [[], [], []]
      const queue = (consumers[0] as { readonly queue: { readonly ready: number; readonly unacknowledged: number } })
        .queue
      let [published, acked] = [0, 0]
      for (const step of steps) {
        if (step._tag === "publish") state.publish(source, anEnvelope(published++))
        else if (step._tag === "take") held[step.who]!.push(...consumers[step.who]!.drain())
        else if (step._tag === "ack" || step._tag === "nack") {
          const delivery = held[step.who]!.shift()
          if (delivery === undefined) continue
          if (step._tag === "ack") acked++
          yield* delivery[step._tag]
        } else if (step._tag === "cut") {
          const stale = [...new Set(step.who)].flatMap((who) => held[who]!.splice(0))
          state.detach(
            [...new Set(step.who)].map((who) => consumers[who]!),
            "cut"
          )
          for (const { ack } of stale) yield* ack
        } else if (consumers[step.who]!.state !== "attached") state.attach(consumers[step.who]!)

        assert.strictEqual(queue.ready + queue.unacknowledged, published - acked)
        const attached = consumers.filter((consumer) => consumer.state === "attached")
        for (const consumer of attached) assert.isAtMost(consumer.unacknowledged, prefetch)
        const holding = attached.filter((consumer) => consumer.unacknowledged > 0)
        if (kind === 1) assert.isAtMost(holding.length, 1, "one leader at a time")
        const idle = attached.filter((consumer) => consumer.unacknowledged < prefetch)
        const mayWait = kind === 1 ? holding.some((leader) => leader.unacknowledged === prefetch) : idle.length === 0
        assert.isTrue(queue.ready === 0 || mayWait || attached.length === 0, "a message waits and a consumer has room")
      }
    }),
  { arbitrary: { runs: 300 } }
)
