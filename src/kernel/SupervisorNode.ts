/**
 * A supervisor at work: its children in start order and what is done about their ends. It has no fiber while all is well;
 * only a group restart and a stop of all run in one, because they wait for one child after the other. A nested supervisor
 * is a Child of its parent like any actor, and its escalation is its crash.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { ActorSpec, RestartKind, StopReason } from "./Actor.ts"
import { ActorCell, type AnySpec } from "./ActorCell.ts"
import { ActorStopped, AlreadyStarted, crashText, Escalated } from "./ActorErrors.ts"
import type { ActorRef } from "./ActorRef.ts"
import { type Child, ChildRecord, type Halt, type Parent } from "./Child.ts"
import { Detached } from "./Detached.ts"
import type { ActorSnapshot, ActorStatus } from "./Registry.ts"
import { Restarts, type RestartOptions } from "./Restarts.ts"
import { StopAll } from "./StopAll.ts"
import type { Tree } from "./Tree.ts"

export interface SupervisorOptions extends RestartOptions {
  readonly address: string
  readonly strategy: "oneForOne" | "restForOne" | "oneForAll"
}

/** Members that restart together: from the one with this order on. */
interface Group {
  from: number
  fiber: Fiber.Fiber<void> | undefined
}

export class SupervisorNode implements Child, Parent {
  readonly address: string
  readonly kind = "supervisor"
  readonly ref = undefined
  readonly root: boolean
  readonly restart: RestartKind
  readonly record: ChildRecord
  readonly escalated = Deferred.makeUnsafe<never, Escalated>()
  private readonly options: SupervisorOptions
  private readonly tree: Tree
  private readonly parent: Parent | undefined
  private readonly restarts: Restarts
  private readonly detached = new Detached()
  private readonly members = new Map<string, Child>()
  private orders = 0
  private regroup: Group | undefined = undefined
  /** Of the group: the member whose `init` the launch of the others waits for. */
  private launching: { readonly child: Child; readonly next: () => void } | undefined = undefined
  private stopping: StopAll | undefined = undefined
  /** down: stopped by its parent, or escalated to it, and waiting to be launched (again). over: for good. */
  private life: "running" | "down" | "over" = "down"
  private halts = 0
  private lives = 0
  private startedAt = 0
  private runningSince = 0
  private lastCrash: string | undefined = undefined

  constructor(
    options: SupervisorOptions & { readonly restart?: RestartKind },
    tree: Tree,
    parent: { readonly node: Parent; readonly record: ChildRecord } | undefined
  ) {
    this.address = options.address
    this.restart = options.restart ?? "permanent"
    this.options = options
    this.tree = tree
    this.parent = parent?.node
    this.root = parent === undefined
    this.record = parent?.record ?? new ChildRecord(0, () => {})
    this.restarts = new Restarts(options)
  }

  start<M, S, R>(spec: ActorSpec<M, S, R>): Effect.Effect<ActorRef<M>, AlreadyStarted, R> {
    return Effect.contextWith((context: Context.Context<R>) => {
      const record = this.newRecord(() => cell.launch())
      // The only place where an actor's types are let go: its ref and its behavior meet again nowhere else.
      const cell = new ActorCell(spec as unknown as AnySpec, this.tree, this, record, this.detached.from(context))
      return Effect.as(this.admit(cell), cell.ref as ActorRef<M>)
    })
  }

  startSupervisor(
    options: SupervisorOptions & { readonly restart?: RestartKind }
  ): Effect.Effect<SupervisorNode, AlreadyStarted> {
    return Effect.suspend(() => {
      const record = this.newRecord(() => node.launch())
      const node = new SupervisorNode(options, this.tree, { node: this, record })
      return Effect.as(this.admit(node), node)
    })
  }

  private newRecord(launch: () => void): ChildRecord {
    return new ChildRecord(this.orders++, launch)
  }

  private admit(child: Child): Effect.Effect<void, AlreadyStarted> {
    if (this.life === "over" || this.stopping?.final === true) {
      child.halt({ drain: false, final: true }, () => child.dispose())
      return Effect.void
    }
    if (!this.tree.registry.register(child)) return Effect.fail(new AlreadyStarted({ address: child.address }))
    this.members.set(child.address, child)
    // A group that is just restarting comes past the newcomer in its turn, and so does this supervisor's own relaunch.
    if (this.life === "running" && this.stopping === undefined && this.regroup === undefined) child.launch()
    return Effect.void
  }

  stopChild(address: string): Effect.Effect<boolean> {
    return this.haltMember(address, { drain: true, final: true }, (child) => this.forget(child))
  }

  restartChild(address: string): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      if (!this.members.has(address)) return this.restartBelow(address)
      return this.haltMember(address, { drain: false, final: false }, (child, final) => {
        if (!final && this.life === "running" && this.stopping === undefined) child.launch()
      })
    })
  }

  private restartBelow(address: string): Effect.Effect<boolean> {
    const below = [...this.members.values()].find(
      (child): child is SupervisorNode => child instanceof SupervisorNode && child.has(address)
    )
    return below === undefined ? Effect.succeed(false) : below.restartChild(address)
  }

  private has(address: string): boolean {
    return (
      this.members.has(address) ||
      [...this.members.values()].some((child) => child instanceof SupervisorNode && child.has(address))
    )
  }

  private haltMember(address: string, halt: Halt, then: (child: Child, final: boolean) => void) {
    return Effect.callback<boolean>((resume) => {
      const child = this.members.get(address)
      if (child === undefined) return resume(Effect.succeed(false))
      child.halt(halt, (final) => {
        then(child, final)
        resume(Effect.succeed(true))
      })
    })
  }

  childRunning(child: Child): void {
    if (this.launching?.child === child) this.launchNext()
  }

  private launchNext(): void {
    const launching = this.launching
    this.launching = undefined
    launching?.next()
  }

  childDown(child: Child, reason: StopReason, ranMs: number): void {
    const crash = reason._tag === "Crashed" ? reason.cause : undefined
    const waitedOut = crash !== undefined && this.isWaitedOut(crash)
    if (crash !== undefined) this.report(child, "Crashed", crash, waitedOut)
    // Whoever stops all comes past this one too.
    if (this.stopping !== undefined) return
    if (child.restart === "temporary" || (child.restart === "transient" && crash === undefined)) {
      return this.forget(child)
    }
    const { record } = child
    record.crashesInARow = ranMs > this.restarts.periodMs ? 1 : record.crashesInARow + 1
    if (!waitedOut && !this.restarts.spend(this.tree.timers.now())) {
      return this.escalate(crash ?? Cause.fail(new ActorStopped({ address: child.address })))
    }
    const delayMs = this.restarts.backoffMs(record.crashesInARow, this.tree.random.nextDoubleUnsafe())
    if (this.options.strategy === "oneForOne") return this.tree.timers.arm(record, delayMs)
    this.restartFrom(this.options.strategy === "oneForAll" ? 0 : record.order, delayMs)
  }

  private isWaitedOut(cause: Cause.Cause<unknown>): boolean {
    try {
      return this.options.waitOut?.(cause) ?? false
    } catch {
      // A judgement that throws is no reason to bear crashes for ever, nor to take the supervisor down.
      return false
    }
  }

  forget(child: Child): void {
    if (this.members.get(child.address) === child) this.members.delete(child.address)
    child.dispose()
    if (this.launching?.child === child) this.launchNext()
  }

  private report(child: Child, tag: "Crashed" | "Escalated", cause: Cause.Cause<unknown>, waitedOut: boolean): void {
    const { address, kind } = child
    const crash = crashText(cause)
    const at = this.tree.clock.currentTimeMillisUnsafe()
    this.tree.events.publish(() =>
      tag === "Crashed" ? { _tag: tag, address, kind, at, crash, waitedOut } : { _tag: tag, address, kind, at, crash }
    )
    const log = tag === "Crashed" ? Effect.logWarning("actor crashed") : Effect.logError("supervisor escalated")
    this.run(Effect.annotateLogs(log, { actor: address, kind, crash, waitedOut }))
  }

  private run(effect: Effect.Effect<void>): Fiber.Fiber<void> {
    return Effect.runForkWith(this.tree.context)(effect)
  }

  /** A crash while a group restarts begins it anew, over the wider of both groups. */
  private restartFrom(order: number, delayMs: number): void {
    const group: Group = { from: Math.min(order, this.regroup?.from ?? order), fiber: undefined }
    this.leaveGroup()
    this.regroup = group
    group.fiber = this.run(this.restartGroup(group, delayMs))
    group.fiber.addObserver(() => {
      if (this.regroup === group) this.regroup = undefined
    })
  }

  private leaveGroup(): void {
    const group = this.regroup
    this.regroup = this.launching = undefined
    group?.fiber?.interruptUnsafe()
  }

  private *membersFrom(order: number): Generator<Child> {
    // A Map also yields what is added while it is walked.
    for (const child of this.members.values()) if (child.record.order >= order) yield child
  }

  private restartGroup(group: Group, delayMs: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      for (const child of [...this.membersFrom(group.from)].toReversed()) yield* this.endMember(child)
      yield* Effect.sleep(Duration.millis(delayMs))
      for (const child of this.membersFrom(group.from)) {
        // Those before are up again and stay so, should this one crash in its init.
        group.from = child.record.order
        yield* this.launchMember(child)
      }
    })
  }

  private endMember(child: Child): Effect.Effect<void> {
    return Effect.callback((resume) =>
      child.halt({ drain: false, final: child.restart === "temporary" }, (final) => {
        if (final) this.forget(child)
        resume(Effect.void)
      })
    )
  }

  private launchMember(child: Child): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (child.running) return resume(Effect.void)
      this.launching = { child, next: () => resume(Effect.void) }
      child.launch()
    })
  }

  private escalate(cause: Cause.Cause<unknown>): void {
    this.lastCrash = crashText(cause)
    this.report(this, "Escalated", cause, false)
    const ranMs = this.tree.timers.now() - this.runningSince
    const escalated = new Escalated({ address: this.address, cause })
    const tell = () => {
      Deferred.doneUnsafe(this.escalated, Exit.fail(escalated))
      // A parent that is stopping this one anyway hears of its end by `halt`.
      if (this.halts === 0) this.parent?.childDown(this, { _tag: "Crashed", cause: Cause.fail(escalated) }, ranMs)
    }
    this.run(Effect.map(this.stopAll({ drain: false, final: this.root }), tell))
  }

  /** Runs in a fiber of its own: whoever waits for it may leave. Several at once are one, the most urgent. */
  private stopAll(halt: Halt): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.life === "over") return Effect.void
      this.leaveGroup()
      const running = this.stopping
      running?.urge(halt)
      const stopping = running ?? new StopAll(halt, this.members, (child) => this.forget(child))
      if (running === undefined) {
        this.stopping = stopping
        for (const child of this.members.values()) this.tree.timers.disarm(child.record)
        this.run(Effect.map(stopping.run, () => this.stopped(stopping)))
      }
      return Deferred.await(stopping.done)
    })
  }

  private stopped(stopping: StopAll): void {
    this.stopping = undefined
    this.life = stopping.final ? "over" : "down"
    Deferred.doneUnsafe(stopping.done, Exit.void)
  }

  drain(timeout: Duration.Input): Effect.Effect<void> {
    return Effect.timeoutOrElse(this.stopAll({ drain: true, final: true }), {
      duration: timeout,
      orElse: () => this.stopAll({ drain: false, final: true })
    }).pipe(Effect.andThen(Effect.sync(() => this.parent?.forget(this))))
  }

  /** The end of a root supervisor and of its whole tree. */
  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    Effect.map(this.stopAll({ drain: false, final: true }), () => {
      this.dispose()
      this.tree.timers.close()
    })
  )

  get running(): boolean {
    return this.life === "running"
  }

  launch(): void {
    if (this.life !== "down" || this.halts > 0 || this.stopping !== undefined) return
    this.life = "running"
    const restarts = this.lives++
    this.startedAt = this.tree.clock.currentTimeMillisUnsafe()
    this.runningSince = this.tree.timers.now()
    this.restarts.clear()
    this.tree.events.publish(() => {
      const happened = { address: this.address, kind: this.kind, at: this.startedAt }
      return restarts === 0 ? { _tag: "Started", ...happened } : { _tag: "Restarted", restarts, ...happened }
    })
    if (this.options.strategy === "oneForOne") for (const child of this.members.values()) child.launch()
    else if (this.members.size > 0) this.restartFrom(0, 0)
    this.parent?.childRunning(this)
  }

  halt(halt: Halt, done: (final: boolean) => void): void {
    this.halts++
    this.tree.timers.disarm(this.record)
    const over = () => {
      this.halts--
      done(this.life === "over")
    }
    this.run(Effect.map(this.stopAll(halt), over))
  }

  dispose(): void {
    this.life = "over"
    for (const child of [...this.members.values()].toReversed()) this.forget(child)
    this.tree.timers.disarm(this.record)
    this.tree.registry.unregister(this)
    const at = this.tree.clock.currentTimeMillisUnsafe()
    this.tree.events.publish(() => ({ _tag: "Stopped", address: this.address, kind: this.kind, at }))
  }

  addresses(): ReadonlyArray<string> {
    return [...this.members.keys()]
  }

  private get status(): ActorStatus {
    if (this.life === "over") return "stopped"
    if (this.stopping?.final === true) return "draining"
    if (this.life === "running" && this.stopping === undefined) return "running"
    return this.lives === 0 ? "starting" : "restarting"
  }

  snapshot(): ActorSnapshot {
    return {
      address: this.address,
      kind: this.kind,
      status: this.status,
      restarts: Math.max(0, this.lives - 1),
      mailboxDepth: 0,
      oldestAgeMs: 0,
      startedAt: this.startedAt,
      ...(this.lastCrash === undefined ? {} : { lastCrash: this.lastCrash }),
      children: Array.from(this.members.values(), (child) => child.snapshot())
    }
  }
}
