/**
 * The place of one actor: its address, mailbox and present incarnation. It runs at most one fiber at a time (`init`, a turn
 * of messages, or the end), and only while there is something to do. A turn handles at most `turnMax` messages and then
 * queues up behind the others, so a flooded actor starves nobody. A new life begins only after nothing of the old one runs.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as References from "effect/References"
import type { ActorSpec, MailboxOptions, RestartKind, StopReason } from "./Actor.ts"
import { ActorStopped, crashText, MailboxFull } from "./ActorErrors.ts"
import type { ActorEvent } from "./ActorEvents.ts"
import type { ActorRef } from "./ActorRef.ts"
import type { AskReply } from "./AskReply.ts"
import type { Child, ChildRecord, Halt, Parent } from "./Child.ts"
import { type Home, Incarnation, isStopSelf, type OwnMessage } from "./Incarnation.ts"
import { LocalRef } from "./LocalRef.ts"
import { Envelope, Mailbox } from "./Mailbox.ts"
import type { ActorSnapshot, ActorStatus } from "./Registry.ts"
import { Timer, type Timers } from "./Timers.ts"
import type { Tree } from "./Tree.ts"

/** Any actor: messages, state and services are its behavior's business. */
export type AnySpec = ActorSpec<unknown, unknown>

const turnMax = 64
const mailboxDefault: MailboxOptions = { capacityMax: 256, whenFull: "refuse" }
const drainMaxDefault: Duration.Input = "5 seconds"

/** An end that was asked for from outside. */
interface Halting {
  drain: boolean
  final: boolean
  readonly waiters: Array<(final: boolean) => void>
  /** Bounds the drain. */
  readonly patience: Patience
}

export class ActorCell implements Child, Home {
  readonly ref: ActorRef<unknown>
  readonly record: ChildRecord
  readonly root = false
  private readonly spec: AnySpec
  private readonly tree: Tree
  private readonly parent: Parent
  private readonly context: Context.Context<never>
  private readonly mailbox: Mailbox<AskReply>
  private incarnation: Incarnation | undefined = undefined
  /** Of `init` or of a turn. */
  private fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private halting: Halting | undefined = undefined
  private queuedForTurn = false
  private lives = 0
  private startedAt = 0
  private lastCrash: string | undefined = undefined
  private disposed = false

  constructor(spec: AnySpec, tree: Tree, parent: Parent, record: ChildRecord, context: Context.Context<never>) {
    this.spec = spec
    this.tree = tree
    this.parent = parent
    this.record = record
    this.context = context
    this.mailbox = new Mailbox(spec.mailbox ?? mailboxDefault)
    this.ref = new LocalRef(this, tree.timers)
  }

  get address(): string {
    return this.spec.address
  }

  get kind(): string {
    return this.spec.kind
  }

  get restart(): RestartKind {
    return this.spec.restart
  }

  get timers(): Timers {
    return this.tree.timers
  }

  /** What became of the message; a refused ask's reply is left to the asker. */
  push(message: unknown, reply: AskReply | undefined): MailboxFull | ActorStopped | undefined {
    if (this.disposed || this.halting?.final === true) {
      this.publish((happened) => ({ _tag: "Dropped", why: "stopped", ...happened }))
      return new ActorStopped({ address: this.address })
    }
    const envelope = new Envelope(message, reply, false, this.tree.clock.currentTimeMillisUnsafe())
    const fallen = this.mailbox.offer(envelope)
    this.wake()
    if (fallen === undefined) return undefined
    this.publish((happened) => ({ _tag: "Dropped", why: "full", ...happened }))
    const full = new MailboxFull({ address: this.address, capacityMax: this.mailbox.options.capacityMax })
    if (fallen === envelope) return full
    fallen.reply?.done(Exit.fail(full))
    return undefined
  }

  deliver(own: OwnMessage): void {
    this.mailbox.offer(new Envelope<AskReply>(own, undefined, true, this.tree.clock.currentTimeMillisUnsafe()))
    this.wake()
  }

  receive(incarnation: Incarnation, message: unknown): Effect.Effect<unknown, unknown> {
    return this.spec.behavior.receive(incarnation.state, message, incarnation)
  }

  lifeOf(ref: ActorRef<never>): Incarnation | undefined {
    const known = ref instanceof LocalRef ? ref : Option.getOrUndefined(this.tree.registry.find(ref.address))
    return known instanceof LocalRef ? known.life : undefined
  }

  get life(): Incarnation | undefined {
    return this.incarnation?.ended === false ? this.incarnation : undefined
  }

  wake(): void {
    const incarnation = this.incarnation
    if (this.queuedForTurn || this.fiber !== undefined || incarnation === undefined || incarnation.ended) return
    this.queuedForTurn = true
    this.tree.dispatcher.scheduleTask(() => {
      this.queuedForTurn = false
      this.turn()
    }, 0)
  }

  launch(): void {
    if (this.incarnation !== undefined || this.halting !== undefined || this.disposed) return
    this.startedAt = this.tree.clock.currentTimeMillisUnsafe()
    this.incarnation = new Incarnation(this, this.lives++, this.startedAt)
    this.wake()
  }

  private turn(): void {
    const incarnation = this.incarnation
    if (incarnation === undefined || incarnation.ended || this.fiber !== undefined) return
    if (incarnation.runningSince === undefined) this.run(incarnation, this.starting(incarnation))
    else this.run(incarnation, this.handling(incarnation))
  }

  private run(incarnation: Incarnation, work: Effect.Effect<unknown, unknown>): void {
    const fiber = this.runFork(
      Effect.withFiber((fiber) => {
        this.fiber = fiber
        return work
      })
    )
    fiber.addObserver((exit) => {
      this.fiber = undefined
      this.turned(incarnation, exit)
    })
  }

  private runFork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    const annotations = Context.get(this.context, References.CurrentLogAnnotations)
    const named = { ...annotations, actor: this.address }
    return Effect.runForkWith(Context.add(this.context, References.CurrentLogAnnotations, named))(effect)
  }

  private starting(incarnation: Incarnation): Effect.Effect<void, unknown> {
    return Effect.map(
      Effect.suspend(() => this.spec.behavior.init(incarnation)),
      (state) => {
        incarnation.state = state
        incarnation.runningSince = this.tree.timers.now()
        this.publish((happened) =>
          incarnation.restarts === 0
            ? { _tag: "Started", ...happened }
            : { _tag: "Restarted", restarts: incarnation.restarts, ...happened }
        )
        this.parent.childRunning(this)
      }
    )
  }

  private handling(incarnation: Incarnation): Effect.Effect<void, unknown> {
    let left = turnMax
    return Effect.whileLoop({
      while: () => left-- > 0 && this.hasWork(incarnation),
      body: () => this.next(incarnation),
      step: (state) => {
        incarnation.state = state
        incarnation.handled()
      }
    })
  }

  private hasWork(incarnation: Incarnation): boolean {
    return this.mailbox.depth > 0 && !incarnation.stopping && this.halting?.drain !== false
  }

  private next(incarnation: Incarnation): Effect.Effect<unknown, unknown> {
    const envelope = this.mailbox.take()
    const unchanged = Effect.succeed(incarnation.state)
    if (envelope === undefined) return unchanged
    if (envelope.own) return (envelope.message as OwnMessage).take() ?? unchanged
    incarnation.current = envelope.reply
    return this.receive(incarnation, envelope.message)
  }

  private turned(incarnation: Incarnation, exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isFailure(exit) && !isStopSelf(exit.cause)) {
      // Interrupted by `halt`, whatever else its finalizers did on the way out.
      if (this.halting?.drain === false) return this.end(incarnation, this.haltReason(this.halting))
      return this.end(incarnation, { _tag: "Crashed", cause: exit.cause })
    }
    if (Exit.isFailure(exit) || incarnation.stopping) return this.end(incarnation, { _tag: "Normal" })
    if (this.hasWork(incarnation)) return this.wake()
    if (this.halting !== undefined) this.end(incarnation, this.haltReason(this.halting))
  }

  private haltReason(halting: Halting): StopReason {
    return halting.final ? { _tag: "Shutdown" } : { _tag: "Restarted" }
  }

  private end(incarnation: Incarnation, reason: StopReason): void {
    incarnation.close()
    this.mailbox.dropOwn()
    if (reason._tag === "Crashed") this.lastCrash = crashText(reason.cause)
    const forks = incarnation.interruptForks()
    const { stop } = this.spec.behavior
    if (forks === undefined && (stop === undefined || incarnation.runningSince === undefined)) {
      return this.ended(incarnation, reason)
    }
    const hook = Effect.suspend(() =>
      stop === undefined || incarnation.runningSince === undefined
        ? Effect.void
        : stop(incarnation.state, reason, incarnation)
    ).pipe(
      Effect.timeoutOrElse({
        duration: this.spec.drainMax ?? drainMaxDefault,
        orElse: () => Effect.logWarning("actor did not stop in time")
      }),
      Effect.catchCause((cause) =>
        Effect.logWarning("actor crashed while stopping").pipe(Effect.annotateLogs("crash", crashText(cause)))
      )
    )
    this.runFork(forks === undefined ? hook : Effect.andThen(forks, hook)).addObserver(() =>
      this.ended(incarnation, reason)
    )
  }

  private ended(incarnation: Incarnation, reason: StopReason): void {
    this.incarnation = undefined
    incarnation.tellWatchers(reason)
    if (this.halting !== undefined) return this.halted(this.halting)
    const since = incarnation.runningSince
    this.parent.childDown(this, reason, since === undefined ? 0 : this.tree.timers.now() - since)
  }

  halt(halt: Halt, done: (final: boolean) => void): void {
    const halting = (this.halting ??= { drain: true, final: false, waiters: [], patience: new Patience(this) })
    halting.waiters.push(done)
    halting.drain &&= halt.drain
    halting.final ||= halt.final
    this.tree.timers.disarm(this.record)
    const incarnation = this.incarnation
    if (incarnation === undefined) return this.halted(halting)
    if (incarnation.ended) return
    const busy = this.fiber !== undefined || incarnation.runningSince === undefined || this.mailbox.depth > 0
    if (!halting.drain) this.interrupt(incarnation, halting)
    else if (!busy) this.end(incarnation, this.haltReason(halting))
    else if (halting.patience.bucket === undefined) {
      const drainMax = Duration.fromInputUnsafe(this.spec.drainMax ?? drainMaxDefault)
      this.tree.timers.arm(halting.patience, Duration.toMillis(drainMax))
    }
  }

  private interrupt(incarnation: Incarnation, halting: Halting): void {
    if (this.fiber === undefined) this.end(incarnation, this.haltReason(halting))
    else this.fiber.interruptUnsafe()
  }

  private halted(halting: Halting): void {
    this.halting = undefined
    this.tree.timers.disarm(halting.patience)
    for (const done of halting.waiters) done(halting.final)
  }

  dispose(): void {
    if (this.disposed) return
    this.disposed = true
    this.tree.timers.disarm(this.record)
    this.tree.registry.unregister(this)
    for (let left = this.mailbox.take(); left !== undefined; left = this.mailbox.take()) {
      if (left.own) continue
      left.reply?.done(Exit.fail(new ActorStopped({ address: this.address })))
      this.publish((happened) => ({ _tag: "Dropped", why: "stopped", ...happened }))
    }
    this.publish((happened) => ({ _tag: "Stopped", ...happened }))
  }

  get running(): boolean {
    return this.life?.runningSince !== undefined
  }

  private get status(): ActorStatus {
    if (this.disposed) return "stopped"
    if (this.halting?.final === true) return "draining"
    if (this.running) return "running"
    return this.life !== undefined || this.lives === 0 ? "starting" : "restarting"
  }

  snapshot(): ActorSnapshot {
    const now = this.tree.clock.currentTimeMillisUnsafe()
    return {
      address: this.address,
      kind: this.kind,
      status: this.status,
      restarts: Math.max(0, this.lives - 1),
      mailboxDepth: this.mailbox.depth,
      oldestAgeMs: this.mailbox.oldestAgeMs(now),
      startedAt: this.startedAt,
      ...(this.lastCrash === undefined ? {} : { lastCrash: this.lastCrash }),
      children: []
    }
  }

  private publish(make: (happened: { address: string; kind: string; at: number }) => ActorEvent): void {
    const { address, kind } = this
    this.tree.events.publish(() => make({ address, kind, at: this.tree.clock.currentTimeMillisUnsafe() }))
  }
}

class Patience extends Timer {
  private readonly cell: ActorCell

  constructor(cell: ActorCell) {
    super()
    this.cell = cell
  }

  override fire(): void {
    this.cell.halt({ drain: false, final: false }, () => {})
  }
}
