/**
 * Work that takes longer than a request waits: started, looked at while it runs, cancelled, and remembered for a while when it is over. It belongs to
 * the daemon that started it and ends with it; nothing of it is stored. One of a kind runs at a time, and not many at all.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Metrics from "../layers/Metrics.ts"
import { Outage } from "../layers/Outage.ts"
import { freshWorkId, type WorkId } from "../schemas/Ids.ts"
import { refuse, type Refusal } from "../schemas/Refusal.ts"
import { noProgress, type WorkProgress, type WorkState, type WorkView } from "../schemas/Work.ts"

/** Of this daemon. */
export const RUNNING_MAX = 4
/** Those that are over, the oldest of which are forgotten. */
export const KEPT_MAX = 50

export interface Order<E> {
  /** Of what sort it is, `snapshot.create`. */
  readonly kind: string
  readonly by: string
  readonly unit: string
  /** Interrupted when it is cancelled. Its error's message is shown. */
  readonly run: (report: (progress: WorkProgress) => Effect.Effect<void>) => Effect.Effect<Schema.Json, E>
}

interface Work {
  readonly id: WorkId
  readonly kind: string
  readonly by: string
  readonly startedAt: number
  state: WorkState
  endedAt: number | null
  progress: WorkProgress
  result: Schema.Json | null
  error: string | null
  fiber: Fiber.Fiber<unknown, unknown> | null
}

export class LongWork extends Context.Service<
  LongWork,
  {
    /** Answers at once. Refused, `conflict`: one of the kind runs already; `overloaded`: too many run. */
    readonly start: <E extends { readonly message: string }>(order: Order<E>) => Effect.Effect<WorkView, Refusal>
    /** Newest first. */
    readonly list: Effect.Effect<ReadonlyArray<WorkView>>
    /** These refuse with `not_found`. */
    readonly look: (id: string) => Effect.Effect<WorkView, Refusal>
    /** Answers when it is over, whether well or not. */
    readonly wait: (id: string) => Effect.Effect<WorkView, Refusal>
    /** Afterwards it is over. Of what is over already nothing changes. */
    readonly cancel: (id: string) => Effect.Effect<WorkView, Refusal>
  }
>()("resultity/actors/LongWork") {
  static readonly layer = Layer.effect(
    LongWork,
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      return make(scope)
    })
  )
}

const notFound = refuse(
  "not_found",
  "There is no such work in this daemon: it may be forgotten, or run in another one."
)

const make = (scope: Scope.Scope): LongWork["Service"] => {
  const works = new Map<string, Work>()
  const found = (id: string) => {
    const work = works.get(id)
    return work === undefined ? Effect.fail(notFound) : Effect.succeed(work)
  }
  return LongWork.of({
    start: Effect.fn("LongWork.start")(function* <E extends { readonly message: string }>(order: Order<E>) {
      const running = [...works.values()].filter(({ state }) => state === "running")
      const same = running.find(({ kind }) => kind === order.kind)
      if (same !== undefined) {
        return yield* refuse("conflict", `${order.kind} runs already as ${same.id}: wait for its end, or cancel it.`)
      }
      if (running.length >= RUNNING_MAX) {
        return yield* refuse("overloaded", `${RUNNING_MAX} long works run here already: wait for the end of one.`)
      }
      const work = yield* begin(order)
      works.set(work.id, work)
      forgetOldest(works)
      work.fiber = yield* Effect.forkIn(carryOut(work, order), scope)
      return yield* viewOf(work)
    }),
    list: Effect.suspend(() => Effect.forEach([...works.values()].toReversed(), viewOf)),
    look: (id) => Effect.flatMap(found(id), viewOf),
    wait: Effect.fnUntraced(function* (id: string) {
      const work = yield* found(id)
      if (work.fiber !== null) yield* Fiber.await(work.fiber)
      return yield* viewOf(work)
    }),
    cancel: Effect.fn("LongWork.cancel")(function* (id: string) {
      const work = yield* found(id)
      if (work.fiber !== null) yield* Fiber.interrupt(work.fiber)
      // Interrupted before its first step it had no chance to say so.
      if (work.state === "running") yield* end(work, Exit.interrupt())
      return yield* viewOf(work)
    })
  })
}

const begin = ({ kind, by, unit }: Pick<Order<never>, "kind" | "by" | "unit">): Effect.Effect<Work> =>
  Effect.gen(function* () {
    const over = { endedAt: null, result: null, error: null, fiber: null }
    const [id, startedAt] = [yield* freshWorkId, yield* Clock.currentTimeMillis]
    return { id, kind, by, startedAt, state: "running", progress: noProgress(unit), ...over }
  })

const carryOut = <E extends { readonly message: string }>(work: Work, { run }: Order<E>) =>
  run((progress) => Effect.sync(() => void (work.progress = progress))).pipe(
    Effect.onExit((exit) => end(work, exit)),
    Effect.exit
  )

const end = (work: Work, exit: Exit.Exit<Schema.Json, { readonly message: string }>): Effect.Effect<void> =>
  Effect.gen(function* () {
    work.endedAt = yield* Clock.currentTimeMillis
    work.fiber = null
    work.state = stateOf(exit)
    yield* Metric.update(Metric.withAttributes(Metrics.works, { kind: work.kind, state: work.state }), 1)
    if (Exit.isSuccess(exit)) work.result = exit.value
    if (Exit.isSuccess(exit) || work.state === "cancelled") return
    work.error = sentenceOf(exit.cause)
    yield* Effect.logWarning("long work failed", { kind: work.kind, id: work.id, cause: String(exit.cause) })
  })

const stateOf = (exit: Exit.Exit<unknown, unknown>): WorkState => {
  if (Exit.isSuccess(exit)) return "done"
  return Cause.hasInterruptsOnly(exit.cause) ? "cancelled" : "failed"
}

/** A defect's message may quote what nobody should read. */
const sentenceOf = (cause: Cause.Cause<{ readonly message: string }>): string => {
  const known = cause.reasons.find(Cause.isFailReason)?.error
  if (known === undefined) return "Something went wrong on our side: the daemon's log says more."
  return known instanceof Outage ? `${known.of} does not answer (${known.during}). Try again.` : known.message
}

const forgetOldest = (works: Map<string, Work>): void => {
  const over = [...works.values()].filter(({ state }) => state !== "running")
  for (const { id } of over.slice(0, Math.max(0, over.length - KEPT_MAX))) works.delete(id)
}

const viewOf = (work: Work): Effect.Effect<WorkView> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const { fiber: _, ...view } = work
    const { done, total } = work.progress
    const perSecond = (done * 1000) / Math.max((work.endedAt ?? now) - work.startedAt, 1)
    const isKnown = work.state === "running" && total !== null && done > 0
    const leftMs = isKnown ? Math.ceil((Math.max(total - done, 0) / perSecond) * 1000) : null
    return { ...view, perSecond, leftMs }
  })
