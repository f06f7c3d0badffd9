/** What stands in the way of a daemon on this RabbitMQ. Declares one queue of its own, sends one message through it and takes it away again. */
import amqplib, { type ChannelModel } from "amqplib"
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { ask, type Unanswered, failure, type Finding, judgeVersion, looked, ok } from "../Diagnosis.ts"
import { isMissing, messageOf } from "./RabbitErrors.ts"
import { RabbitTopology } from "./RabbitTopology.ts"

const SUBJECT = "RabbitMQ"
const VERSION_MIN = 4
const CONNECT_MS = 5_000
const CONFIRM_MAX_MS = 5_000

export const diagnose = (url: Redacted.Redacted, prefix: string): Effect.Effect<ReadonlyArray<Finding>> =>
  looked(
    SUBJECT,
    "Check RABBITMQ_URL (host, port, user, password, virtual host) and that the server runs.",
    Effect.gen(function* () {
      const connection = yield* Effect.acquireRelease(
        ask(() => amqplib.connect(Redacted.value(url), { timeout: CONNECT_MS })),
        (opened) => Effect.promise(() => opened.close().catch(() => undefined))
      )
      connection.on("error", () => undefined)
      const blocked: Array<string> = []
      connection.on("blocked", (reason: string) => void blocked.push(reason))
      const { version } = connection.connection.serverProperties as { readonly version?: string }
      return [
        judgeVersion(SUBJECT, version ?? "unknown", VERSION_MIN),
        yield* probe(connection, prefix, blocked),
        ...(yield* topologyOf(connection, prefix))
      ]
    }).pipe(Effect.scoped)
  )

const probe = (connection: ChannelModel, prefix: string, blocked: ReadonlyArray<string>) =>
  ask(async () => {
    const channel = await connection.createConfirmChannel()
    channel.on("error", () => undefined)
    const name = `${prefix}.doctor.${randomBytes(6).toString("hex")}`
    await channel.assertQueue(name, { durable: true, arguments: { "x-queue-type": "quorum", "x-expires": 60_000 } })
    channel.sendToQueue(name, Buffer.from("{}"), { persistent: true })
    await channel.waitForConfirms()
    await channel.deleteQueue(name)
    await channel.close()
    return ok(SUBJECT, "this user may declare, publish and delete; a quorum queue confirms")
  }).pipe(
    Effect.timeoutOrElse({
      duration: CONFIRM_MAX_MS,
      orElse: () =>
        Effect.sync(() =>
          blocked.length > 0
            ? failure(
                SUBJECT,
                `it takes no messages: ${blocked.join(", ")}`,
                "Give it memory or disk; publishers wait until the alarm ends."
              )
            : failure(
                SUBJECT,
                "it does not confirm a message",
                "Look at rabbitmq-diagnostics check_if_node_is_quorum_critical."
              )
        )
    }),
    Effect.catch((cause) =>
      Effect.succeed(
        failure(
          SUBJECT,
          `this user may not do all that is needed: ${cause.message}`,
          `rabbitmqctl set_permissions -p VHOST USER '^${prefix}\\..*' '^${prefix}\\..*' '^${prefix}\\..*'`
        )
      )
    )
  )

/** Exchanges and queues that are there already have to be as this program declares them; what is not there is made by the first daemon. */
const topologyOf = (connection: ChannelModel, prefix: string) =>
  Effect.gen(function* () {
    const topology = new RabbitTopology(prefix)
    const parked = [topology.parked, topology.unreadable]
    const findings: Array<Finding> = []
    let made = 0
    for (const [name, type] of topology.exchanges) {
      const state = yield* stateOf(
        connection,
        (channel) => channel.checkExchange(name),
        (channel) => channel.assertExchange(name, type, { durable: true })
      )
      if (state === "there") made += 1
      else if (state !== "missing") findings.push(drifted(name, state))
    }
    for (const { name, options } of parked) {
      const state = yield* stateOf(
        connection,
        (channel) => channel.checkQueue(name),
        (channel) => channel.assertQueue(name, options)
      )
      if (state === "there") made += 1
      else if (state !== "missing") findings.push(drifted(name, state))
    }
    const all = topology.exchanges.length + parked.length
    return [
      ...findings,
      ok(SUBJECT, `${made} of ${all} exchanges and queues stand as declared; a daemon makes those that are missing`)
    ]
  })

const drifted = (name: string, said: string): Finding =>
  failure(
    SUBJECT,
    `${name} stands there with other arguments: ${said}`,
    `Delete ${name}, or choose another --installation; nothing but copies is in it.`
  )

type Channel = Awaited<ReturnType<ChannelModel["createChannel"]>>

/** On a channel of its own, because a refusal closes it. */
const stateOf = (
  connection: ChannelModel,
  check: (channel: Channel) => Promise<unknown>,
  declare: (channel: Channel) => Promise<unknown>
): Effect.Effect<"there" | "missing" | (string & {}), Unanswered> =>
  ask(async () => {
    const channel = await connection.createChannel()
    channel.on("error", () => undefined)
    try {
      await check(channel)
      await declare(channel)
      await channel.close()
      return "there"
    } catch (cause) {
      return isMissing(cause) ? "missing" : messageOf(cause)
    }
  })
