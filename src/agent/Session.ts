/**
 * One WebSocket conversation with a daemon, from the challenge to the close. Ends with what the close said and never
 * fails; attempts outlive it. A daemon from which nothing came for three heartbeats is taken for gone, because a broken
 * path may stay silent for hours.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type RawData, WebSocket } from "ws"
import {
  AGENT_PROTOCOL,
  type AgentFrame,
  CLOSE,
  type DaemonFrame,
  FRAME_BYTES_MAX,
  type HandshakeClaim,
  type TellingRestriction
} from "../schemas/AgentFrame.ts"
import type { Environment } from "../schemas/Job.ts"
import type { NodeProfile } from "../schemas/NodeProfile.ts"
import type { Attempts } from "./Attempts.ts"
import { readDaemonFrame } from "./DaemonFrames.ts"
import type { Identity } from "./Identity.ts"
import type { Log } from "./Log.ts"
import type { Sight } from "./Monitor.ts"
import type { SessionEnd } from "./Reconnect.ts"
import { fresh } from "./SessionKey.ts"
import { make as makeWire, type Wire } from "./Wire.ts"

export interface SessionOptions {
  readonly url: string
  readonly environment: Environment
  readonly identity: Identity
  readonly profile: () => NodeProfile
  readonly sight: () => Sight
  readonly attempts: Attempts
  /** The daemon asks the node to leave. */
  readonly onDrain: () => void
  readonly log: Log
}

const HANDSHAKE_MS = 10_000
const SILENT_BEATS_MAX = 3
const UNSEEN_MAX = 64
const CLOSE_TIMEOUT = "1 second"
/** What a close that nobody explained is reported as. */
const ABNORMAL = 1006

export const run = Effect.fnUntraced(function* (options: SessionOptions) {
  const clock = yield* Clock.Clock
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => open(options.url)),
    close
  )
  const talk = new Conversation(socket, options, () => clock.currentTimeMillisUnsafe())
  yield* Effect.addFinalizer(() => Effect.sync(() => talk.leave()))
  yield* Effect.gen(function* () {
    const heartbeatMs = yield* Deferred.await(talk.registered).pipe(
      Effect.timeoutOrElse({
        duration: Duration.millis(HANDSHAKE_MS),
        orElse: () => Effect.as(talk.giveUp, HANDSHAKE_MS)
      })
    )
    return yield* Effect.sync(() => talk.beat()).pipe(Effect.delay(Duration.millis(heartbeatMs)), Effect.forever)
  }).pipe(Effect.forkScoped)
  return yield* Deferred.await(talk.ended)
}, Effect.scoped)

const open = (url: string): WebSocket =>
  new WebSocket(url, { maxPayload: FRAME_BYTES_MAX, perMessageDeflate: false, handshakeTimeout: HANDSHAKE_MS })

const close = (socket: WebSocket): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (socket.readyState === WebSocket.CLOSED) return resume(Effect.void)
    socket.once("close", () => resume(Effect.void))
    if (socket.readyState === WebSocket.OPEN) socket.close(1000)
    else if (socket.readyState === WebSocket.CONNECTING) socket.terminate()
  }).pipe(Effect.timeout(CLOSE_TIMEOUT), Effect.ignore, Effect.andThen(Effect.sync(() => socket.terminate())))

type FrameOf<Tag extends DaemonFrame["_tag"]> = Extract<DaemonFrame, { readonly _tag: Tag }>

class Conversation {
  /** Done with the time between heartbeats. */
  readonly registered = Deferred.makeUnsafe<number>()
  readonly ended = Deferred.makeUnsafe<SessionEnd>()
  readonly giveUp = Effect.sync(() => this.#socket.terminate())
  readonly #socket: WebSocket
  readonly #options: SessionOptions
  readonly #now: () => number
  readonly #wire: Wire
  readonly #key = fresh()
  #phase: "challenge" | "registering" | "open" | "over" = "challenge"
  #refused: SessionEnd["refused"] = null
  #digest = ""
  #restrictions = "[]"
  #toldModels = ""
  #silentBeats = 0
  /** Numbers of the heartbeats that were not answered yet. */
  readonly #unseen: Array<number> = []

  constructor(socket: WebSocket, options: SessionOptions, now: () => number) {
    this.#socket = socket
    this.#options = options
    this.#now = now
    this.#wire = makeWire(socket, () => options.attempts.flow())
    socket.on("message", (data, isBinary) => this.#hear(data, isBinary))
    // Every error is followed by the close, which is what counts.
    socket.on("error", (error) => options.log("the socket reports an error", { error: error.message }))
    socket.on("close", (code) => this.#over(code))
  }

  beat(): void {
    if (this.#phase !== "open") return
    this.#silentBeats += 1
    if (this.#silentBeats > SILENT_BEATS_MAX) {
      this.#options.log("the daemon is silent; the session is given up", { beats: SILENT_BEATS_MAX })
      return this.#socket.terminate()
    }
    const { healthy, gpus, models } = this.#options.sight()
    const spelled = JSON.stringify(models)
    const changed = spelled === this.#toldModels ? {} : { models }
    this.#toldModels = spelled
    const slotsUsed = this.#options.attempts.slotsUsed
    const number = this.#send({ _tag: "Heartbeat", slotsUsed, healthy, digest: this.#digest, gpus, ...changed })
    if (this.#unseen.length < UNSEEN_MAX) this.#unseen.push(number)
  }

  /** After this nothing that may still come out of the socket counts. */
  leave(): void {
    this.#phase = "over"
    this.#options.attempts.detach()
  }

  #send(frame: AgentFrame): number {
    return this.#wire.send(frame)
  }

  #over(code: number): void {
    const end = {
      closeCode: code === 1005 ? ABNORMAL : code,
      refused: this.#refused,
      registered: this.#phase === "open"
    }
    Deferred.doneUnsafe(this.ended, Effect.succeed(end))
  }

  #hear(data: RawData, isBinary: boolean): void {
    if (this.#phase === "over") return
    this.#silentBeats = 0
    // A bug in here must end the agent's session loudly, and not the process that it shares with others.
    try {
      const frame = isBinary || !(data instanceof Buffer) ? null : readDaemonFrame(data.toString("utf8"))
      if (frame === null || !this.#obey(frame)) this.#bad(frame?._tag ?? "unknown")
    } catch (cause) {
      Deferred.doneUnsafe(this.ended, Effect.die(cause))
    }
  }

  #bad(tag: string): void {
    this.#options.log("the daemon sent a frame that makes no sense here", { frame: tag, phase: this.#phase })
    this.#socket.close(CLOSE.bad_frame)
  }

  /** False when the frame does not belong here. */
  #obey(frame: DaemonFrame): boolean {
    switch (frame._tag) {
      case "Refused":
        this.#refused = { code: frame.code, message: frame.message, at: frame.at }
        return true
      case "Challenge":
        return this.#phase === "challenge" && this.#authenticate(frame)
      case "Registered":
        return this.#phase === "registering" && this.#begin(frame)
      case "HeartbeatSeen":
        this.#digest = frame.digest
        this.#hearOf(frame.restrictions ?? [])
        return this.#phase === "open" && this.#seen()
      case "Drain":
        if (this.#phase !== "open") return false
        this.#options.onDrain()
        return true
      default:
        if (this.#phase !== "open") return false
        this.#options.attempts.handle(frame)
        return true
    }
  }

  /** What holds the node back, once when it changes. */
  #hearOf(restrictions: ReadonlyArray<TellingRestriction>): void {
    const word = JSON.stringify(restrictions)
    if (word === this.#restrictions) return
    this.#restrictions = word
    if (restrictions.length === 0) this.#options.log("the network takes this node again", {})
    for (const { kind, reason, until } of restrictions) {
      const end = until === null ? "until somebody lifts it" : DateTime.formatIso(DateTime.makeUnsafe(until))
      this.#options.log("the network holds this node back", {
        kind,
        until: end,
        ...(reason === null ? {} : { reason })
      })
    }
  }

  #authenticate({ protocol, serverId, nonce, at }: FrameOf<"Challenge">): boolean {
    if (protocol !== AGENT_PROTOCOL) {
      this.#refused = { code: "protocol", message: `it speaks version ${protocol}, this agent ${AGENT_PROTOCOL}`, at }
      this.#socket.close(1000)
      return true
    }
    const { environment, identity, profile } = this.#options
    const claim: HandshakeClaim = {
      domain: "resultity/authenticate/v1",
      environment,
      nodeId: identity.nodeId,
      serverId,
      nonce,
      timestamp: this.#now(),
      sessionKey: this.#key.publicHex
    }
    const told = profile()
    this.#toldModels = JSON.stringify(told.models)
    this.#phase = "registering"
    this.#send({
      _tag: "Authenticate",
      protocol: AGENT_PROTOCOL,
      environment,
      nodeId: identity.nodeId,
      timestamp: claim.timestamp,
      sessionKey: claim.sessionKey,
      signature: identity.signHandshake(claim),
      profile: told
    })
    return true
  }

  #begin({ sessionId, digest, heartbeatMs }: FrameOf<"Registered">): boolean {
    this.#phase = "open"
    this.#digest = digest
    this.#options.log("registered", { sessionId, nodeId: this.#options.identity.nodeId })
    this.#options.attempts.attach({
      wire: this.#wire,
      signResult: this.#key.signResult,
      lose: () => this.#socket.terminate()
    })
    this.beat()
    Deferred.doneUnsafe(this.registered, Effect.succeed(heartbeatMs))
    return true
  }

  /** Frames are read in order, so an answered heartbeat vouches for all that went before it. */
  #seen(): boolean {
    const number = this.#unseen.shift()
    if (number !== undefined) this.#options.attempts.confirm(number)
    return true
  }
}
