/**
 * What does our transport carry through RabbitMQ? Publish with confirm, take and acknowledge through one lane, many at a time, against the same messages
 * through the same kind of queue with the bare driver, in turns within the same run. Needs `RABBITMQ_URL`.
 */
import { randomBytes } from "node:crypto"
import { connect, type Options } from "amqplib"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import { RabbitTopology } from "../src/layers/rabbitmq/RabbitTopology.ts"
import * as RabbitTransport from "../src/layers/rabbitmq/RabbitTransport.ts"
import type { Target } from "../src/layers/Transport.ts"
import { ENVELOPE_VERSION, type Envelope } from "../src/schemas/Envelope.ts"
import { EnvelopeId, JobId, NamespaceId } from "../src/schemas/Ids.ts"
import { type Line, median, rate, times } from "./support/Line.ts"

export interface Measure {
  readonly messages: number
  /** Published and not confirmed. */
  readonly atOnce: number
  readonly prefetch: number
}

const MEASURE: Measure = { messages: 20_000, atOnce: 256, prefetch: 64 }
const ROUNDS = 3
/** Messages of the first round, which counts for nothing. */
const WARM = 4_000

const lane = {
  _tag: "Lane",
  lane: { environment: "testnet", subcloud: "global", model: "bench", priority: "normal" }
} as const satisfies Target

const envelope: Envelope = {
  version: ENVELOPE_VERSION,
  id: EnvelopeId.make(`msg_${"0".repeat(26)}`),
  message: {
    _tag: "JobQueued",
    jobId: JobId.make(`job_${"0".repeat(26)}`),
    namespaceId: NamespaceId.make(`ns_${"0".repeat(26)}`)
  },
  replyTo: `daemon/daemon_${"0".repeat(26)}`,
  deadlineAt: 1_700_000_000_000,
  attempt: 0,
  traceparent: null
}

const publishing = async (url: string, queue: string, { messages, atOnce }: Measure): Promise<void> => {
  const model = await connect(url, { noDelay: true })
  const channel = await model.createConfirmChannel()
  const content = Buffer.from(JSON.stringify(envelope))
  let sent = 0
  await new Promise<void>((resolve, reject) => {
    let confirmed = 0
    const publish = () => {
      sent++
      channel.publish("", queue, content, { persistent: true }, (failed: unknown) => {
        if (failed !== null) return reject(new Error("not confirmed", { cause: failed }))
        if (++confirmed === messages) return resolve()
        if (sent < messages) publish()
      })
    }
    while (sent < Math.min(atOnce, messages)) publish()
  })
  await model.close()
}

const consuming = async (url: string, queue: string, { messages, prefetch }: Measure): Promise<void> => {
  const model = await connect(url, { noDelay: true })
  const channel = await model.createChannel()
  await channel.prefetch(prefetch)
  await new Promise<void>((resolve, reject) => {
    let taken = 0
    const take = (message: Parameters<Parameters<typeof channel.consume>[1]>[0]) => {
      if (message === null) return reject(new Error("the queue is gone"))
      channel.ack(message)
      if (++taken === messages) resolve()
    }
    channel.consume(queue, take).catch(reject)
  })
  await model.close()
}

/** Messages a second with the bare driver, published with confirm, consumed and acknowledged, on a quorum queue with the arguments of a lane. */
export const measureRaw = async (url: string, measure: Measure = MEASURE): Promise<number> => {
  const queue = `bench-${randomBytes(6).toString("hex")}`
  const options: Options.AssertQueue = new RabbitTopology("bench").source(lane, 1).options
  const model = await connect(url)
  const channel = await model.createChannel()
  await channel.assertQueue(queue, options)
  const started = performance.now()
  await Promise.all([consuming(url, queue, measure), publishing(url, queue, measure)])
  const took = performance.now() - started
  await channel.deleteQueue(queue)
  await model.close()
  return (measure.messages * 1000) / took
}

const throughLane = Effect.fnUntraced(function* (url: string, prefix: string, measure: Measure) {
  const { messages, atOnce, prefetch } = measure
  const transport = yield* RabbitTransport.make({ url: Redacted.make(url), prefix })
  const { take } = yield* transport.consume(lane, prefetch)
  const started = performance.now()
  const taking = Effect.gen(function* () {
    let taken = 0
    while (taken < messages) {
      const deliveries = yield* take
      for (const { ack } of deliveries) yield* ack
      taken += deliveries.length
    }
  })
  const fiber = yield* Effect.forkChild(taking)
  const all = Array.from({ length: messages }, () => transport.publish(lane, envelope))
  yield* Effect.all(all, { concurrency: atOnce, discard: true })
  yield* Fiber.join(fiber)
  return (messages * 1000) / (performance.now() - started)
}, Effect.scoped)

/** Messages a second through our transport. */
export const measureOurs = async (url: string, measure: Measure = MEASURE): Promise<number> => {
  const prefix = `bench-${randomBytes(6).toString("hex")}`
  const topology = new RabbitTopology(prefix)
  const measured = await Effect.runPromise(throughLane(url, prefix, measure))
  const model = await connect(url)
  const channel = await model.createChannel()
  const queues = [topology.source(lane, 1), topology.parked, topology.unreadable]
  for (const { name } of queues) await channel.deleteQueue(name)
  for (const [exchange] of topology.exchanges) await channel.deleteExchange(exchange)
  await model.close()
  return measured
}

export const run = async (): Promise<Array<Line>> => {
  const url = process.env["RABBITMQ_URL"]
  if (url === undefined) {
    console.warn("skipped: the rates of RabbitMQ; set RABBITMQ_URL to a RabbitMQ server")
    return []
  }
  const warm = { ...MEASURE, messages: WARM }
  await measureRaw(url, warm)
  await measureOurs(url, warm)
  const raw: Array<number> = []
  const ours: Array<number> = []
  for (let round = 0; round < ROUNDS; round++) {
    raw.push(await measureRaw(url))
    ours.push(await measureOurs(url))
  }
  const [bare, busy] = [median(raw), median(ours)]
  return [
    {
      what: `RabbitMQ publish with confirm + take + ack, ${MEASURE.atOnce} at a time`,
      value: rate(busy),
      against: `${rate(bare)} with the bare driver`,
      ratio: times(busy / bare)
    }
  ]
}

if (import.meta.main) console.table(await run())
