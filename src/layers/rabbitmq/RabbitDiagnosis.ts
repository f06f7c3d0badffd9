/**
 * Examines a RabbitMQ as a daemon would meet it: with its user, its arguments of queues and its names. Makes one queue of its own, sends one message through
 * it and deletes it; a doctor that dies in between leaves a queue that goes by itself within a minute. What stands there already is only ever
 * declared again as it has to be, which changes nothing or is refused; what is missing is not made.
 */
import { randomBytes } from "node:crypto"
import type { Channel, ConfirmChannel } from "amqplib"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import {
  ask,
  bad,
  type Check,
  examined,
  type Finding,
  good,
  majorOf,
  speed,
  type Unanswered,
  type Verdict,
  warning
} from "../Diagnosis.ts"
import { open, type RabbitConnection } from "./RabbitConnection.ts"
import { isDrift, isMissing, messageOf } from "./RabbitErrors.ts"
import { type Queue, RabbitTopology } from "./RabbitTopology.ts"

export interface RabbitDiagnosisOptions {
  readonly url: Redacted.Redacted
  readonly prefix: string
}

const SERVER = "RabbitMQ"
const VERSION_MIN = 4
/** A probe that was left behind is gone by then. */
const PROBE_EXPIRES_MS = 60_000
const FRAME_MIN = 8_192

const CHECK_URL =
  "Check RABBITMQ_URL (host, port, user, password, virtual host, amqps:// for TLS) and that the server runs."
const LOOK = "Look into the server's log: rabbitmq-diagnostics log_tail."

export const diagnose = (options: RabbitDiagnosisOptions): Effect.Effect<ReadonlyArray<Finding>> =>
  examined(
    SERVER,
    {
      todo: CHECK_URL,
      open: Effect.acquireRelease(open({ url: options.url, name: "resultity doctor" }), ({ close }) => close, {
        interruptible: true
      })
    },
    (connection) => [
      { what: "reachable", todo: CHECK_URL, verdict: reachable(connection) },
      { what: "version", todo: LOOK, verdict: Effect.sync(() => version(connection)) },
      { what: "connection", todo: LOOK, verdict: Effect.sync(() => negotiated(connection)) },
      ...probes(connection, options),
      { what: "topology", todo: LOOK, verdict: topology(connection, options) },
      { what: "parked", todo: LOOK, verdict: parked(connection, options) }
    ]
  )

/** A refusal ends its channel, so every question that may be refused has one of its own. */
const onChannel = <A>(connection: RabbitConnection, use: (channel: Channel) => Promise<A>) =>
  ask(async () => {
    const channel = await connection.model.createChannel()
    // Also the reason of the call that fails.
    channel.on("error", () => undefined)
    const answer = await use(channel)
    await channel.close()
    return answer
  })

const reachable = (connection: RabbitConnection) =>
  Effect.flatMap(
    ask(() => connection.model.createChannel()),
    (channel) => speed(ask(() => channel.prefetch(1)))
  )

interface Properties {
  readonly product?: unknown
  readonly version?: unknown
  readonly cluster_name?: unknown
}

const version = ({ model }: RabbitConnection): Verdict => {
  const { product, version, cluster_name } = model.connection.serverProperties as Properties
  const said = `${String(product)} ${String(version)}, cluster ${String(cluster_name)}`
  return majorOf(String(version)) >= VERSION_MIN
    ? good(said)
    : bad(said, "Upgrade it: 4.0 is the oldest whose quorum queues do what the daemons need.")
}

/** What the two ends agreed on; the driver keeps it without telling its types. */
interface Negotiated {
  readonly frameMax?: number
  readonly heartbeat?: number
  readonly channelMax?: number
}

const negotiated = ({ model }: RabbitConnection): Verdict => {
  const { frameMax = 0, heartbeat = 0, channelMax = 0 } = model.connection as Negotiated
  const said = `frames of ${frameMax} bytes, a heartbeat of ${heartbeat} s, ${channelMax} channels`
  if (heartbeat === 0) {
    return warning(
      said,
      "Set heartbeat in rabbitmq.conf to 60 or less: without one nobody notices a connection that hangs."
    )
  }
  return frameMax > 0 && frameMax < FRAME_MIN
    ? warning(said, "Set frame_max in rabbitmq.conf to its default of 131072.")
    : good(said)
}

/** As a lane has them. */
const laneOptions = (prefix: string, expiresMs: number): Queue["options"] => {
  const { options } = new RabbitTopology(prefix).source(
    { _tag: "Lane", lane: { environment: "testnet", subcloud: "global", model: "doctor", priority: "normal" } },
    1
  )
  return { ...options, arguments: { ...(options.arguments as object), "x-expires": expiresMs } }
}

const freshName = (prefix: string) => `${prefix}.doctor.${randomBytes(8).toString("hex")}`

const probes = (connection: RabbitConnection, { prefix }: RabbitDiagnosisOptions): ReadonlyArray<Check> => [
  {
    what: "quorum queues",
    todo: `Give the user its rights: rabbitmqctl set_permissions -p VHOST USER '^${prefix}\\.' '^${prefix}\\.' '^${prefix}\\.'`,
    verdict: quorum(connection, prefix)
  },
  { what: "consumer timeout", todo: LOOK, verdict: consumerTimeout(connection, prefix) }
]

const alarm = (reason: string): Verdict =>
  bad(
    `it takes no messages now: ${reason}`,
    "Give it memory or disk (rabbitmq-diagnostics alarms); until then no daemon hears of new jobs by it."
  )

/** While it is blocked, the broker reads nothing from who publishes, so nothing else would be answered here. */
const blocked = (connection: RabbitConnection): Effect.Effect<Verdict> =>
  Effect.callback((resume) => {
    const look = () => {
      if (connection.blocked !== null) resume(Effect.succeed(alarm(connection.blocked)))
    }
    const unwatch = connection.watch(look)
    look()
    return Effect.sync(unwatch)
  })

/** The whole life of a message, in a queue like a lane. */
const quorum = (connection: RabbitConnection, prefix: string) => {
  const life = ask(async () => {
    const channel = await connection.model.createConfirmChannel()
    channel.on("error", () => undefined)
    const name = freshName(prefix)
    await channel.assertQueue(name, laneOptions(prefix, PROBE_EXPIRES_MS))
    try {
      return await through(channel, name)
    } finally {
      await channel.deleteQueue(name)
    }
  })
  return Effect.raceFirst(life, blocked(connection))
}

const through = async (channel: ConfirmChannel, name: string): Promise<Verdict> => {
  channel.sendToQueue(name, Buffer.from(name), { persistent: true })
  await channel.waitForConfirms()
  const message = await new Promise<string>((resolve, reject) => {
    const consumed = channel.consume(name, (delivered) => {
      if (delivered === null) return reject(new Error("the queue was deleted meanwhile"))
      channel.ack(delivered)
      resolve(delivered.content.toString())
    })
    consumed.catch(reject)
  })
  return message === name
    ? good("a message is confirmed, delivered and acknowledged")
    : bad("a message arrives as another one", LOOK)
}

/**
 * Whether a queue says itself how long a delivery may be held, which is for hours. A broker that knows the argument refuses nonsense in it; one that does not,
 * takes anything.
 */
const consumerTimeout = (connection: RabbitConnection, prefix: string) => {
  const name = freshName(prefix)
  const known = laneOptions(prefix, PROBE_EXPIRES_MS)
  const nonsense = { ...known, arguments: { ...(known.arguments as object), "x-consumer-timeout": "never" } }
  return onChannel(connection, async (channel) => {
    await channel.assertQueue(name, nonsense)
    await channel.deleteQueue(name)
    return warning(
      "the server does not know it as an argument of a queue",
      "Set consumer_timeout in rabbitmq.conf to a day: waiting jobs hold their deliveries for as long as their deadline."
    )
  }).pipe(
    Effect.catchIf(
      ({ cause }) => isDrift(cause),
      () => Effect.succeed(good("each queue says its own"))
    )
  )
}

type State = { readonly is: "right" | "missing" } | { readonly is: "drift"; readonly said: string }

const stateOf = (
  connection: RabbitConnection,
  look: (channel: Channel) => Promise<unknown>,
  declare: (channel: Channel) => Promise<unknown>
): Effect.Effect<State, Unanswered> =>
  onChannel(connection, async (channel): Promise<State> => {
    await look(channel)
    await declare(channel)
    return { is: "right" }
  }).pipe(
    Effect.catchIf(
      ({ cause }) => isMissing(cause),
      () => Effect.succeed<State>({ is: "missing" })
    ),
    Effect.catchIf(
      ({ cause }) => isDrift(cause),
      ({ cause }) => Effect.succeed<State>({ is: "drift", said: messageOf(cause) })
    )
  )

/** What does not depend on who asks. Lanes and sweepers' queues are declared by daemons as they need them, which then say in their log what is wrong. */
const topology = Effect.fnUntraced(function* (connection: RabbitConnection, { prefix }: RabbitDiagnosisOptions) {
  const house = new RabbitTopology(prefix)
  const questions = [
    ...house.exchanges.map(([name, type]) => ({
      name,
      kind: "exchange",
      look: (channel: Channel) => channel.checkExchange(name),
      declare: (channel: Channel) => channel.assertExchange(name, type, { durable: true })
    })),
    ...[house.parked, house.unreadable].map(({ name, options }) => ({
      name,
      kind: "queue",
      look: (channel: Channel) => channel.checkQueue(name),
      declare: (channel: Channel) => channel.assertQueue(name, options)
    }))
  ]
  const drifted: Array<Verdict> = []
  let present = 0
  for (const { name, kind, look, declare } of questions) {
    const state = yield* stateOf(connection, look, declare)
    if (state.is === "right") present += 1
    if (state.is !== "drift") continue
    drifted.push(
      bad(
        `${kind} ${name} is not what this program declares: ${state.said}`,
        `Stop the daemons, delete the ${kind} (rabbitmqadmin delete ${kind} --name ${name}) and start them again, or choose another --installation; waiting jobs are published again from the store.`
      )
    )
  }
  if (drifted.length > 0) return drifted
  if (present === 0) return good("nothing yet; the first daemon makes it")
  const missing = questions.length - present
  return good(
    missing === 0 ? `all ${present} are as declared` : `${present} as declared, a daemon makes the other ${missing}`
  )
})

/** Messages that nobody could use wait there for an operator. */
const parked = Effect.fnUntraced(function* (connection: RabbitConnection, { prefix }: RabbitDiagnosisOptions) {
  const house = new RabbitTopology(prefix)
  const counts: Array<string> = []
  for (const { name } of [house.parked, house.unreadable]) {
    const count = yield* onChannel(connection, (channel) => channel.checkQueue(name)).pipe(
      Effect.map(({ messageCount }) => messageCount),
      Effect.catchIf(
        ({ cause }) => isMissing(cause),
        () => Effect.succeed(0)
      )
    )
    if (count > 0) counts.push(`${count} in ${name}`)
  }
  return counts.length === 0
    ? good("nothing")
    : warning(
        counts.join(", "),
        "Look at their header x-parked-reason, then purge the queue: no message is the only copy of anything."
      )
})
