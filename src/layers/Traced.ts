/**
 * Spans for the job's road, and how they join into one trace however many daemons the job comes through: a job carries its `traceparent` (W3C),
 * in its row and on every envelope, and whoever acts for it makes spans below that. Without an exporter there is nobody to read spans, and
 * `Effect.fn` would still take a stack for each call; all of this asks first and costs next to nothing then.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"

const QUIETLY = { captureStackTrace: false }

/** `f` in a span of that name while tracing is on. */
export const traced =
  <Args extends ReadonlyArray<unknown>, A, E, R>(name: string, f: (...args: Args) => Effect.Effect<A, E, R>) =>
  (...args: Args): Effect.Effect<A, E, R> =>
    Effect.flatMap(References.TracerEnabled, (on) =>
      on ? Effect.withSpan(f(...args), name, QUIETLY) : f(...args)
    ) as Effect.Effect<A, E, R>

/** What a span may say of itself: ids, names, counts and codes, never a text of a request or an answer. */
export type Attributes = Readonly<Record<string, string | number | boolean>>

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const NOTHING = /^0+$/

/** The span that a `traceparent` names; null for none, and for one that is none by the standard. */
export const parentOf = (traceparent: string | null): Tracer.ExternalSpan | null => {
  const [, version = "ff", traceId = "0", spanId = "0", flags = "00", more] = TRACEPARENT.exec(traceparent ?? "") ?? []
  if (version === "ff" || NOTHING.test(traceId) || NOTHING.test(spanId)) return null
  // Only a later version may say more.
  if (version === "00" && more !== undefined) return null
  return Tracer.externalSpan({ traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 })
}

export const traceparentOf = ({ traceId, spanId, sampled }: Tracer.AnySpan): string =>
  `00-${traceId.padStart(32, "0")}-${spanId}-${sampled ? "01" : "00"}`

/** Of the span that this runs in; null while tracing is off, and outside of any span. */
export const currentTraceparent: Effect.Effect<string | null> = Effect.flatMap(References.TracerEnabled, (on) =>
  on
    ? Effect.match(Effect.currentParentSpan, { onSuccess: traceparentOf, onFailure: () => null })
    : Effect.succeed(null)
)

/** Spans within the effect stand below that of the `traceparent`; null changes nothing. */
export const withParent =
  (traceparent: string | null) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(References.TracerEnabled, (on) => {
      const parent = on ? parentOf(traceparent) : null
      return parent === null ? effect : Effect.withParentSpan(effect, parent)
    }) as Effect.Effect<A, E, R>

export interface SpanAbout {
  readonly traceparent: string | null
  readonly kind?: Tracer.SpanKind
  readonly attributes?: Attributes
}

/** The effect in a span of that name below the `traceparent`: of a request that came in, of a step of a job. */
export const inTrace =
  (name: string, { traceparent, kind = "internal", attributes = {} }: SpanAbout) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(References.TracerEnabled, (on) => {
      if (!on) return effect
      const parent = parentOf(traceparent)
      return Effect.withSpan(effect, name, {
        ...QUIETLY,
        kind,
        attributes: { ...attributes },
        ...(parent === null ? {} : { parent })
      })
    }) as Effect.Effect<A, E, R>

export interface PastSpan extends SpanAbout {
  readonly name: string
  /** Epoch milliseconds. */
  readonly startedAt: number
  readonly endedAt: number
  /** Why it failed; null: it did not. */
  readonly code: string | null
}

/** A span of something that is over and was not one effect: the wait for a slot, an attempt at a node, a job from end to end. */
export const recordSpan = (past: PastSpan): Effect.Effect<void> =>
  Effect.flatMap(References.TracerEnabled, (on) =>
    on ? Effect.map(Effect.tracer, (tracer) => record(tracer, past)) : Effect.void
  )

const record = (tracer: Tracer.Tracer, past: PastSpan): void => {
  const parent = parentOf(past.traceparent)
  const span = tracer.span({
    name: past.name,
    parent: Option.fromNullOr(parent),
    annotations: Context.empty(),
    links: [],
    startTime: nanos(past.startedAt),
    kind: past.kind ?? "internal",
    root: parent === null,
    sampled: parent?.sampled ?? true
  })
  for (const [name, value] of Object.entries(past.attributes ?? {})) span.attribute(name, value)
  span.end(nanos(past.endedAt), past.code === null ? Exit.void : Exit.fail({ _tag: "Ended", code: past.code }))
}

const nanos = (ms: number): bigint => BigInt(Math.round(ms)) * 1_000_000n
