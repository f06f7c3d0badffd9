/**
 * One life of an actor, from `init` to its end: the state, and everything that must die with it (timers, forks, watches,
 * answers it owes). The mailbox is not here: it outlives the incarnation. It is the ActorContext its behavior sees; call
 * its methods on it (`self.after(…)`), they are not bound.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Cause from "effect/Cause"
import type { ActorContext, Down, StopReason } from "./Actor.ts"
import { ActorStopped } from "./ActorErrors.ts"
import type { ActorRef } from "./ActorRef.ts"
import type { AskReply } from "./AskReply.ts"
import { Timer, type Timers } from "./Timers.ts"

/** A message from an incarnation to itself; gives the effect that handles it, or nothing if it is out of date. */
export interface OwnMessage {
  readonly take: () => Effect.Effect<unknown, unknown> | undefined
}

/** What an incarnation needs of the actor it is a life of. */
export interface Home {
  readonly address: string
  readonly ref: ActorRef<unknown>
  readonly timers: Timers
  readonly deliver: (own: OwnMessage) => void
  readonly receive: (incarnation: Incarnation, message: unknown) => Effect.Effect<unknown, unknown>
  /** The present life behind a ref, if it has one. */
  readonly lifeOf: (ref: ActorRef<never>) => Incarnation | undefined
  readonly wake: () => void
}

/** Leaves a handler by `self.stop`; never seen outside. */
const stopSelf = { _tag: "resultity/kernel/StopSelf" } as const

export const isStopSelf = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) => reason._tag === "Die" && reason.defect === stopSelf)

export class Incarnation implements ActorContext<unknown> {
  readonly home: Home
  readonly restarts: number
  /** Epoch milliseconds. */
  readonly startedAt: number
  state: unknown = undefined
  /** Monotonic milliseconds since `init` is through; undefined before. */
  runningSince: number | undefined = undefined
  /** Wants to end normally after the present message. */
  stopping = false
  ended = false
  /** The answer the message in hand asks for. */
  current: AskReply | undefined = undefined
  private owes: Set<AskReply> | undefined = undefined
  private pending: Map<string, KeyedTimer> | undefined = undefined
  private forks: Set<Fiber.Fiber<unknown, unknown>> | undefined = undefined
  private watching: Set<Watch> | undefined = undefined
  private watchers: Set<Watch> | undefined = undefined

  constructor(home: Home, restarts: number, startedAt: number) {
    this.home = home
    this.restarts = restarts
    this.startedAt = startedAt
  }

  get self(): ActorRef<unknown> {
    return this.home.ref
  }

  get address(): string {
    return this.home.address
  }

  after(key: string, delay: Duration.Input, message: unknown): Effect.Effect<void> {
    return Effect.sync(() => {
      if (this.ended) return
      const pending = (this.pending ??= new Map<string, KeyedTimer>())
      this.forget(key)
      const timer = new KeyedTimer(this, key, message)
      pending.set(key, timer)
      this.home.timers.arm(timer, Duration.toMillis(Duration.fromInputUnsafe(delay)))
    })
  }

  cancelAfter(key: string): Effect.Effect<void> {
    return Effect.sync(() => this.forget(key))
  }

  private forget(key: string): void {
    const timer = this.pending?.get(key)
    if (timer === undefined) return
    this.pending?.delete(key)
    this.home.timers.disarm(timer)
  }

  /** True once for a timer that is still the one of its key. */
  claim(timer: KeyedTimer): boolean {
    if (this.pending?.get(timer.key) !== timer) return false
    return this.pending.delete(timer.key)
  }

  watch(ref: ActorRef<never>, onDown: (down: Down) => unknown): Effect.Effect<void> {
    return Effect.sync(() => {
      if (this.ended) return
      const watched = this.home.lifeOf(ref)
      const watch: Watch = { watcher: this, watched, address: ref.address, onDown }
      ;(this.watching ??= new Set<Watch>()).add(watch)
      if (watched === undefined) announce(watch, { _tag: "NotRunning" })
      else (watched.watchers ??= new Set<Watch>()).add(watch)
    })
  }

  fork<A, E>(effect: Effect.Effect<A, E>, onExit?: (exit: Exit.Exit<A, E>) => unknown): Effect.Effect<void> {
    return Effect.map(Effect.forkDetach(effect), (fiber) => {
      if (this.ended) return fiber.interruptUnsafe()
      const forks = (this.forks ??= new Set<Fiber.Fiber<unknown, unknown>>())
      forks.add(fiber)
      fiber.addObserver((exit) => {
        forks.delete(fiber)
        if (this.ended) return
        if (onExit !== undefined) this.home.deliver({ take: () => this.home.receive(this, onExit(exit)) })
        // Nobody would ever see this failure: it is the actor's own.
        else if (Exit.isFailure(exit) && !isStopSelf(exit.cause)) this.home.deliver({ take: () => exit })
      })
    })
  }

  get stop(): Effect.Effect<never> {
    return Effect.suspend(() => {
      this.stopping = true
      // From a fork no handler may be running that would notice.
      this.home.wake()
      return Effect.die(stopSelf)
    })
  }

  /** The message in hand is through: an answer not yet given is owed from now on. */
  handled(): void {
    const reply = this.current
    this.current = undefined
    if (reply === undefined || reply.settled) return
    this.owes ??= new Set<AskReply>()
    reply.owedBy = this.owes.add(reply)
  }

  /** Nothing it started may reach it any more, and whoever waits for its answer learns that none will come. */
  close(): void {
    this.ended = true
    for (const timer of this.pending?.values() ?? []) this.home.timers.disarm(timer)
    for (const watch of this.watching ?? []) watch.watched?.watchers?.delete(watch)
    const owed = [...(this.owes ?? []), ...(this.current === undefined ? [] : [this.current])]
    for (const reply of owed) reply.done(Exit.fail(new ActorStopped({ address: this.address })))
    this.pending = this.watching = this.owes = this.current = undefined
  }

  /** Ends the work beside the mailbox and waits for it: undefined when there is none. */
  interruptForks(): Effect.Effect<void> | undefined {
    return this.forks === undefined || this.forks.size === 0 ? undefined : Fiber.interruptAll([...this.forks])
  }

  tellWatchers(reason: StopReason): void {
    for (const watch of this.watchers ?? []) announce(watch, reason)
    this.watchers = undefined
  }

  /** True once, and false if the watcher has ended meanwhile. */
  hears(watch: Watch): boolean {
    return this.watching?.delete(watch) ?? false
  }
}

interface Watch {
  readonly watcher: Incarnation
  readonly watched: Incarnation | undefined
  readonly address: string
  readonly onDown: (down: Down) => unknown
}

const announce = (watch: Watch, reason: Down["reason"]): void => {
  const { watcher, address, onDown } = watch
  if (watcher.hears(watch)) {
    watcher.home.deliver({ take: () => watcher.home.receive(watcher, onDown({ address, reason })) })
  }
}

class KeyedTimer extends Timer implements OwnMessage {
  readonly owner: Incarnation
  readonly key: string
  readonly message: unknown

  constructor(owner: Incarnation, key: string, message: unknown) {
    super()
    this.owner = owner
    this.key = key
    this.message = message
  }

  override fire(): void {
    this.owner.home.deliver(this)
  }

  take(): Effect.Effect<unknown, unknown> | undefined {
    return this.owner.claim(this) ? this.owner.home.receive(this.owner, this.message) : undefined
  }
}
