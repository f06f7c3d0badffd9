/**
 * One TCP connection to the broker, from its handshake to its end. However it ends (closed, reset, silent for two heartbeats, dropped by us) the end
 * is told once, to whoever watches, and the socket is destroyed: a half-open one would otherwise linger for as long as the kernel tries.
 */
import { type ChannelModel, connect, type SocketOptions } from "amqplib"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Outage } from "../Outage.ts"
import { gatherWrites } from "./GatheredWrites.ts"
import { explained, outageOf } from "./RabbitErrors.ts"

/** Two silent ones are the end of a connection. */
const HEARTBEAT_S = 5
const CONNECT_MS = 5_000
const CLOSE_MS = 1_000
/** How long the broker may take for an answer other than a confirm. */
export const ANSWER_MS = 10_000

export class RabbitConnection {
  readonly model: ChannelModel
  private readonly socket: AbortController
  private readonly watchers = new Set<() => void>()
  private readonly lost = Deferred.makeUnsafe<Error>()
  private reason: Error | undefined
  private isLost = false
  /** Why the broker takes nothing from us for now. It reads nothing from a connection that published until it can store again. */
  blocked: string | null = null

  /** At once after the handshake, or the first error finds nobody who listens and ends the process. */
  constructor(model: ChannelModel, socket: AbortController) {
    this.model = model
    this.socket = socket
    model.on("error", (error) => void (this.reason ??= error))
    model.on("close", (error) => this.end(error))
    model.on("blocked", (reason) => {
      this.blocked = reason
      this.tell()
    })
    model.on("unblocked", () => {
      this.blocked = null
      this.tell()
    })
  }

  /** Why it ended, or is about to; undefined while it lives. */
  get lostBecause(): Error | undefined {
    return this.isLost ? (this.reason ?? new Error("the connection was closed")) : this.reason
  }

  /** Waits for its end. */
  get ended(): Effect.Effect<Error> {
    return Deferred.await(this.lost)
  }

  /** Called when it is blocked, free again, or has ended. Returns how to stop that. */
  watch(watcher: () => void): () => void {
    this.watchers.add(watcher)
    return () => void this.watchers.delete(watcher)
  }

  /** Ends it without asking the broker, which would not answer. */
  drop(reason: Error): void {
    this.reason ??= reason
    this.socket.abort(reason)
  }

  /** An answer that does not come in time ends the connection: it is half-open. */
  answered<A, E>(during: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E | Outage> {
    const late = Effect.suspend(() => {
      const cause = new Error(`RabbitMQ did not answer in ${ANSWER_MS} ms`)
      this.drop(cause)
      return Effect.fail(outageOf(during, cause))
    })
    return Effect.timeoutOrElse(effect, { duration: ANSWER_MS, orElse: () => late })
  }

  /** One question to the broker. The signal says that nobody waits for the answer any more. */
  ask<A>(during: string, question: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, Outage> {
    const answer = Effect.tryPromise({ try: question, catch: (cause) => ({ cause }) })
    return this.answered(
      during,
      Effect.catch(answer, ({ cause }) => explained(during, cause))
    )
  }

  /** In peace if the broker answers soon: what is exclusive to the connection is gone by then. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isLost) return Effect.void
    this.reason ??= new Error("the connection was closed by this daemon")
    const asked = Effect.ignore(Effect.tryPromise(() => this.model.close()))
    return Effect.asVoid(Effect.timeoutOption(asked, CLOSE_MS)).pipe(
      Effect.andThen(Effect.sync(() => this.drop(new Error("RabbitMQ did not answer to the close"))))
    )
  })

  private end(error: Error | undefined): void {
    if (this.isLost) return
    this.reason ??= error
    this.isLost = true
    this.socket.abort()
    this.tell()
    Deferred.doneUnsafe(this.lost, Effect.succeed(this.lostBecause ?? new Error("the connection was closed")))
  }

  private tell(): void {
    for (const watcher of this.watchers) watcher()
  }
}

export interface ConnectionOptions {
  readonly url: Redacted.Redacted
  /** What the broker's list of connections shows. */
  readonly name: string
}

const withHeartbeat = (url: string): string => {
  const parsed = new URL(url)
  parsed.searchParams.set("heartbeat", String(HEARTBEAT_S))
  return parsed.href
}

/** The caller closes it. */
export const open = ({ url, name }: ConnectionOptions): Effect.Effect<RabbitConnection, Outage> =>
  Effect.tryPromise({
    try: (signal) => {
      const socket = new AbortController()
      signal.addEventListener("abort", () => socket.abort())
      const options: SocketOptions & { readonly signal: AbortSignal } = {
        signal: socket.signal,
        noDelay: true,
        keepAlive: true,
        timeout: CONNECT_MS,
        clientProperties: { connection_name: name }
      }
      return connect(withHeartbeat(Redacted.value(url)), options).then((model) => {
        const connection = new RabbitConnection(model, socket)
        gatherWrites(model)
        return connection
      })
    },
    catch: (cause) => outageOf("connect", cause)
  })
