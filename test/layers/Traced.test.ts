/** How spans join: what a `traceparent` means, what is passed on, and that nothing is made while nobody listens. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Option, References, Schema, Tracer } from "effect"
import {
  currentTraceparent,
  inTrace,
  parentOf,
  recordSpan,
  traced,
  traceparentOf,
  withParent
} from "../../src/layers/Traced.ts"

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
const CLIENT = `00-${TRACE}-00f067aa0ba902b7-01`

interface Seen {
  readonly span: Tracer.Span
  readonly startTime: bigint
  endTime: bigint
  exit: Exit.Exit<unknown, unknown> | null
}

/** Keeps every span that is made. */
const listening = () => {
  const seen: Array<Seen> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = Tracer.nativeTracer.span(options)
      const entry: Seen = { span, startTime: options.startTime, endTime: 0n, exit: null }
      seen.push(entry)
      return Object.assign(span, {
        end: (endTime: bigint, exit: Exit.Exit<unknown, unknown>) => void Object.assign(entry, { endTime, exit })
      })
    }
  })
  return { seen, on: Effect.provideService(Tracer.Tracer, tracer) }
}

const parentIdOf = ({ span }: Seen) => Option.getOrUndefined(span.parent)?.spanId

it.effect("a job's spans stand in one trace below the request, in whatever daemon they are made", () =>
  Effect.gen(function* () {
    const { seen, on } = listening()
    const admit = traced("admit", () => currentTraceparent)
    const carried = yield* on(inTrace("request", { traceparent: CLIENT, kind: "server" })(admit()))

    const claim = traced("claim", () => Effect.void)
    yield* on(inTrace("job.claim", { traceparent: carried, attributes: { "job.attempt": 1 } })(claim()))
    yield* on(withParent(carried)(claim()))
    yield* on(
      recordSpan({
        name: "job",
        traceparent: carried,
        startedAt: 1000,
        endedAt: 3500,
        code: null,
        attributes: { a: "b" }
      })
    )

    const [request, admitted, step, inner, bare, whole] = seen
    assert.deepStrictEqual(
      seen.map(({ span }) => span.name),
      ["request", "admit", "job.claim", "claim", "claim", "job"]
    )
    for (const { span } of seen) assert.deepStrictEqual([span.traceId, span.sampled], [TRACE, true])
    assert.strictEqual(request!.span.kind, "server")
    assert.deepStrictEqual(
      [request, admitted, step, inner, bare, whole].map((entry) => parentIdOf(entry!)),
      [
        "00f067aa0ba902b7",
        request!.span.spanId,
        admitted!.span.spanId,
        step!.span.spanId,
        admitted!.span.spanId,
        admitted!.span.spanId
      ]
    )
    assert.deepStrictEqual([whole!.startTime, whole!.endTime], [1_000_000_000n, 3_500_000_000n])
    assert.strictEqual(whole!.span.attributes.get("a"), "b")
    assert.strictEqual(step!.span.attributes.get("job.attempt"), 1)
  })
)

it.effect("a request without a trace begins one, and an unsampled one stays unsampled", () =>
  Effect.gen(function* () {
    const { seen, on } = listening()
    const carried = yield* on(inTrace("request", { traceparent: null })(currentTraceparent))
    assert.match(carried!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
    assert.isTrue(Option.isNone(seen[0]!.span.parent))

    const quiet = yield* on(inTrace("request", { traceparent: `${CLIENT.slice(0, -1)}0` })(currentTraceparent))
    assert.match(quiet!, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`))
  })
)

it.effect("what failed says its code, and an attempt that failed too", () =>
  Effect.gen(function* () {
    const { seen, on } = listening()
    yield* on(recordSpan({ name: "job.attempt", traceparent: CLIENT, startedAt: 1, endedAt: 2, code: "node_lost" }))
    assert.deepStrictEqual(seen[0]!.exit, Exit.fail({ _tag: "Ended", code: "node_lost" }))
  })
)

it.effect("no span is made while tracing is off, and no traceparent", () =>
  Effect.gen(function* () {
    const { seen, on } = listening()
    const work = Effect.gen(function* () {
      yield* traced("one", () => Effect.void)()
      yield* withParent(CLIENT)(traced("two", () => Effect.void)())
      yield* recordSpan({ name: "three", traceparent: CLIENT, startedAt: 1, endedAt: 2, code: null })
      return yield* inTrace("four", { traceparent: CLIENT })(currentTraceparent)
    })
    const off = Effect.provideService(on(work), References.TracerEnabled, false)
    assert.isNull(yield* off)
    assert.lengthOf(seen, 0)
    assert.isString(yield* on(work))
    assert.isAbove(seen.length, 0)
  })
)

it("a traceparent that is none has no parent", () => {
  const wrong = [
    null,
    "",
    "00",
    `00-${TRACE}-00f067aa0ba902b7`,
    `ff-${TRACE}-00f067aa0ba902b7-01`,
    `00-${TRACE}-00f067aa0ba902b7-01-more`,
    `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-00f067aa0ba902b7-01`,
    ` ${CLIENT}`
  ]
  for (const text of wrong) assert.isNull(parentOf(text), String(text))
  assert.strictEqual(parentOf(`01-${TRACE}-00f067aa0ba902b7-03-more`)?.sampled, true)
})

it.effect.prop(
  "a traceparent names the span that it was made of, and any text is read without harm",
  { ids: Schema.String.check(Schema.isPattern(/^[1-9a-f]{48}$/)), sampled: Schema.Boolean, any: Schema.String },
  ({ ids, sampled, any }) =>
    Effect.sync(() => {
      const span = Tracer.externalSpan({ traceId: ids.slice(0, 32), spanId: ids.slice(32), sampled })
      const { traceId, spanId, sampled: again } = parentOf(traceparentOf(span))!
      assert.deepStrictEqual([traceId, spanId, again], [span.traceId, span.spanId, sampled])
      assert.isNull(parentOf(`${any}!`))
    }),
  { arbitrary: { runs: 50 } }
)
