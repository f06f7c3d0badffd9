/**
 * All timers of one supervision tree behind one sleeping fiber: a hundred thousand actors with a timer each, and a timeout
 * for every ask, cost list entries and no fibers. Arming and disarming are O(1) but for the first timer of a millisecond.
 * Driven by the Effect Clock's monotonic time, so a wall clock that is set back delays nothing and TestClock moves it.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"

/** Something to happen at a time. Links itself into the list of its millisecond. `fire` must not throw. */
export abstract class Timer {
  bucket: Bucket | undefined = undefined
  previous: Timer | undefined = undefined
  next: Timer | undefined = undefined

  abstract fire(): void
}

class Bucket {
  readonly due: number
  first: Timer | undefined = undefined

  constructor(due: number) {
    this.due = due
  }
}

const nanosPerMilli = 1_000_000
/** Due times of emptied buckets stay in the heap until it holds this many more than are in use. */
const staleMax = 1_024

export class Timers {
  private readonly clock: Clock.Clock
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly buckets = new Map<number, Bucket>()
  /** Binary min-heap of due times; may hold some whose bucket is gone, and repeats. */
  private heap: Array<number> = []
  private sleep: { readonly until: number; fiber: Fiber.Fiber<void> | undefined } | undefined = undefined
  private closed = false

  constructor(clock: Clock.Clock, dispatcher: Scheduler.SchedulerDispatcher, context: Context.Context<never>) {
    this.clock = clock
    this.dispatcher = dispatcher
    this.fork = Effect.runForkWith(context)
  }

  /** Monotonic milliseconds; only differences mean anything. */
  now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / nanosPerMilli
  }

  /** The timer must not be armed. An infinite delay never fires. */
  arm(timer: Timer, delayMs: number): void {
    if (this.closed || delayMs === Infinity) return
    const now = this.now()
    const due = delayMs > 0 ? Math.ceil(now + delayMs) : Math.floor(now)
    let bucket = this.buckets.get(due)
    if (bucket === undefined) {
      bucket = new Bucket(due)
      this.buckets.set(due, bucket)
      this.heapPush(due)
    }
    timer.bucket = bucket
    timer.next = bucket.first
    if (bucket.first !== undefined) bucket.first.previous = timer
    bucket.first = timer
    if (due < this.sleepingUntil()) this.sleepUntil(due, now)
  }

  /** Does nothing for a timer that is not armed. */
  disarm(timer: Timer): void {
    const bucket = timer.bucket
    if (bucket === undefined) return
    if (timer.previous === undefined) bucket.first = timer.next
    else timer.previous.next = timer.next
    if (timer.next !== undefined) timer.next.previous = timer.previous
    timer.bucket = timer.previous = timer.next = undefined
    // A bucket that is being fired is no longer in the map, and another may have taken its place.
    if (bucket.first === undefined && this.buckets.get(bucket.due) === bucket) this.buckets.delete(bucket.due)
  }

  close(): void {
    this.closed = true
    this.buckets.clear()
    this.heap = []
    const sleeping = this.sleep
    this.sleep = undefined
    sleeping?.fiber?.interruptUnsafe()
  }

  private sleepingUntil(): number {
    return this.sleep?.until ?? Infinity
  }

  private sleepUntil(due: number, now: number): void {
    const replaced = this.sleep
    const sleep: typeof this.sleep = { until: due, fiber: undefined }
    this.sleep = sleep
    replaced?.fiber?.interruptUnsafe()
    const wake = () => {
      if (this.sleep === sleep) this.wake()
    }
    if (due <= now) this.dispatcher.scheduleTask(wake, 0)
    // Some clocks round: at least a millisecond, or the wake-up may come before the due time again and again.
    else sleep.fiber = this.fork(Effect.map(this.clock.sleep(Duration.millis(Math.max(1, due - now))), wake))
  }

  private wake(): void {
    this.sleep = undefined
    const now = this.now()
    const due: Array<Bucket> = []
    while (this.heap[0] !== undefined && this.heap[0] <= now) {
      const bucket = this.buckets.get(this.heapPop())
      if (bucket !== undefined) due.push(bucket)
    }
    for (const bucket of due) this.buckets.delete(bucket.due)
    for (const bucket of due) this.fireAll(bucket)
    const next = this.heap[0]
    if (next !== undefined && next < this.sleepingUntil()) this.sleepUntil(next, now)
  }

  private fireAll(bucket: Bucket): void {
    // Armed last stands first: reverse, so that timers of one millisecond fire in the order they were armed.
    const timers: Array<Timer> = []
    for (let timer = bucket.first; timer !== undefined; timer = timer.next) timers.push(timer)
    for (const timer of timers.toReversed()) {
      if (timer.bucket !== bucket) continue
      this.disarm(timer)
      timer.fire()
    }
  }

  private heapPush(due: number): void {
    if (this.heap.length > 2 * this.buckets.size + staleMax) {
      // A sorted array is a heap. `due` is among the keys already.
      this.heap = Array.from(this.buckets.keys()).sort((a, b) => a - b)
      return
    }
    const heap = this.heap
    let at = heap.push(due) - 1
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = heap[up] as number
      if (parent <= due) break
      heap[at] = parent
      at = up
    }
    heap[at] = due
  }

  private heapPop(): number {
    const heap = this.heap
    const top = heap[0] as number
    const last = heap.pop() as number
    if (heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child++
      if ((heap[child] as number) >= last) break
      heap[at] = heap[child] as number
      at = child
    }
    heap[at] = last
    return top
  }
}
