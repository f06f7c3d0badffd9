/**
 * Simulated processes on one thread and one virtual clock. Each process has its own Effect scheduler, so that it can be killed (nothing of it
 * ever runs again, no finalizer, no last word) or frozen (it goes on later and knows nothing of the time between), and its own wall clock,
 * which may be wrong. Which process runs next is drawn from the seed; within a process tasks run in their order, as in an event loop.
 */
import {
  type Clock,
  Context,
  Duration,
  Effect,
  Exit,
  type Fiber,
  type Logger,
  Random,
  References,
  type Scheduler
} from "effect"
import { Clock as ClockTag } from "effect/Clock"
import { Scheduler as SchedulerTag } from "effect/Scheduler"
import type { Dice } from "./Dice.ts"
import { EventHash } from "./EventHash.ts"

type Task = () => void

interface Timer {
  readonly at: number
  readonly order: number
  readonly process: Process
  readonly fire: Task
  cancelled: boolean
}

/** Tasks of one process before another one gets its turn. */
const TURN_MAX = 24
/** Tasks without time passing after which a run is taken for a busy loop. */
const SPIN_MAX = 400_000
/** Rounds of microtasks (sockets deliver in them) after which nothing is taken to be under way. */
const SETTLE = 4

export class Sim {
  now: number
  /** Tasks run so far. */
  steps = 0
  readonly hash = new EventHash()
  readonly startedAt: number
  private readonly dice: Dice
  private readonly processes: Array<Process> = []
  private readonly ready: Array<Process> = []
  private readonly heap: Array<Timer> = []
  private orders = 0
  private spins = 0

  constructor(dice: Dice, now: number) {
    this.dice = dice
    this.now = now
    this.startedAt = now
  }

  process(name: string, loggers: ReadonlyArray<Logger.Logger<unknown, unknown>> = []): Process {
    const process = new Process(this, name, this.dice.stream(name), loggers)
    this.processes.push(process)
    return process
  }

  forget(process: Process): void {
    const at = this.processes.indexOf(process)
    if (at >= 0) this.processes.splice(at, 1)
  }

  timer(process: Process, ms: number, fire: Task): Timer {
    const timer = {
      at: Math.ceil(this.now + Math.max(0, ms)),
      order: ++this.orders,
      process,
      fire,
      cancelled: false
    }
    push(this.heap, timer)
    return timer
  }

  /** Runs until `holds` (asked whenever everybody is at rest) or until so much time has passed; says whether it held. */
  async run(ms: number, holds: () => boolean): Promise<boolean> {
    const until = this.now + ms
    while (true) {
      await this.rest()
      if (holds()) return true
      const next = this.heap[0]
      if (next === undefined || next.at > until) {
        this.now = until
        return false
      }
      if (next.at > this.now) this.spins = 0
      this.now = Math.max(this.now, next.at)
      this.hash.add(this.now - this.startedAt)
      while (this.heap[0] !== undefined && this.heap[0].at <= this.now) {
        const timer = pop(this.heap)
        if (!timer.cancelled) timer.process.enqueue(timer.fire)
      }
    }
  }

  /** Everybody does what there is to do at this instant. */
  private async rest(): Promise<void> {
    for (let idle = 0; idle < SETTLE;) {
      const { ready } = this
      ready.length = 0
      for (const process of this.processes) if (process.isReady) ready.push(process)
      if (ready.length === 0) {
        idle += 1
        await Promise.resolve()
        continue
      }
      idle = 0
      const process = this.dice.pick(ready)
      const ran = process.turn(this.dice.between(1, TURN_MAX))
      this.hash.name(process.name)
      this.hash.add(ran)
      this.steps += ran
      this.spins += ran
      if (this.spins > SPIN_MAX) throw new Error("the simulation spins: no time passes")
      await Promise.resolve()
    }
  }
}

export class Process {
  readonly name: string
  readonly dice: Dice
  /** What this process takes the time to be, beside what it is. */
  skewMs = 0
  dead = false
  readonly context: Context.Context<never>
  private readonly sim: Sim
  private frozen = false
  private tasks: Array<Task> = []
  /** Of these tasks. */
  private done = 0
  private thawed: Array<Task> = []

  constructor(sim: Sim, name: string, dice: Dice, loggers: ReadonlyArray<Logger.Logger<unknown, unknown>>) {
    this.sim = sim
    this.name = name
    this.dice = dice
    this.context = contextOf(this, sim, loggers)
  }

  get isReady(): boolean {
    return !this.dead && !this.frozen && this.tasks.length > this.done
  }

  get isFrozen(): boolean {
    return this.frozen
  }

  enqueue(task: Task): void {
    if (!this.dead) this.tasks.push(task)
  }

  turn(max: number): number {
    let ran = 0
    for (; ran < max && this.isReady; ran++) this.tasks[this.done++]?.()
    if (this.done >= this.tasks.length) {
      this.tasks = []
      this.done = 0
    }
    return ran
  }

  /** In this process's order of things, so much later. */
  after(ms: number, task: Task): () => void {
    const timer = this.sim.timer(this, ms, task)
    return () => void (timer.cancelled = true)
  }

  /** So much virtual time goes by. */
  pause(ms: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => Effect.sync(this.after(ms, () => resume(Effect.void))))
  }

  kill(): void {
    this.dead = true
    this.tasks = []
    this.done = 0
    this.thawed = []
    this.sim.forget(this)
  }

  freeze(ms: number): void {
    if (this.dead || this.frozen) return
    this.frozen = true
    this.sim.timer(OUTSIDE(this.sim), ms, () => this.thaw())
  }

  thaw(): void {
    if (!this.frozen) return
    this.frozen = false
    const { thawed } = this
    this.thawed = []
    for (const task of thawed) this.enqueue(task)
  }

  /** Nothing of a killed process goes on, and a frozen one waits: asked at every door to the outside. */
  readonly stand: Effect.Effect<void> = Effect.suspend(() => {
    if (this.dead) return Effect.never
    if (!this.frozen) return Effect.void
    return Effect.callback<void>((resume) => {
      this.thawed.push(() => resume(Effect.void))
    })
  })

  fork<A, E, R>(
    effect: Effect.Effect<A, E, R>,
    context: Context.Context<R>,
    ended: (exit: Exit.Exit<A, E>) => void = () => {}
  ): void {
    this.enqueue(() => {
      const fiber: Fiber.Fiber<A, E> = Effect.runForkWith(Context.merge(context, this.context) as Context.Context<R>)(
        effect
      )
      fiber.addObserver((exit) => {
        if (!this.dead) ended(exit)
      })
    })
  }
}

const outsides = new WeakMap<Sim, Process>()
/** Where what belongs to no process happens. */
const OUTSIDE = (sim: Sim): Process => {
  const known = outsides.get(sim)
  if (known !== undefined) return known
  const made = sim.process("outside")
  outsides.set(sim, made)
  return made
}

const contextOf = (
  process: Process,
  sim: Sim,
  loggers: ReadonlyArray<Logger.Logger<unknown, unknown>>
): Context.Context<never> => {
  const scheduler: Scheduler.Scheduler = {
    executionMode: "async",
    shouldYield: (fiber) => fiber.currentOpCount >= 2048,
    makeDispatcher: () => ({ scheduleTask: (task) => process.enqueue(task), flush: () => {} })
  }
  const millis = () => sim.now + process.skewMs
  const nanos = () => BigInt(Math.round(sim.now)) * 1_000_000n
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: (duration) => {
      const ms = Duration.toMillis(duration)
      if (ms <= 0) return Effect.yieldNow
      if (!Number.isFinite(ms)) return Effect.never
      return Effect.callback<void>((resume) => {
        const cancel = process.after(ms, () => resume(Effect.void))
        return Effect.sync(cancel)
      })
    }
  }
  const random = {
    nextIntUnsafe: () => Math.floor(process.dice.next() * Number.MAX_SAFE_INTEGER),
    nextDoubleUnsafe: () => process.dice.next()
  }
  return Context.make(SchedulerTag, scheduler).pipe(
    Context.add(ClockTag, clock),
    Context.add(Random.Random, random),
    Context.add(References.CurrentLoggers, new Set(loggers)),
    Context.add(References.TracerEnabled, false)
  ) as unknown as Context.Context<never>
}

const isBefore = (a: Timer, b: Timer) => a.at < b.at || (a.at === b.at && a.order < b.order)

const push = (heap: Array<Timer>, timer: Timer): void => {
  let at = heap.push(timer) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!isBefore(timer, heap[parent] as Timer)) break
    heap[at] = heap[parent] as Timer
    at = parent
  }
  heap[at] = timer
}

const pop = (heap: Array<Timer>): Timer => {
  const first = heap[0] as Timer
  const last = heap.pop() as Timer
  if (heap.length === 0) return first
  let at = 0
  while (true) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1] as Timer, heap[child] as Timer)) child += 1
    if (!isBefore(heap[child] as Timer, last)) break
    heap[at] = heap[child] as Timer
    at = child
  }
  heap[at] = last
  return first
}
