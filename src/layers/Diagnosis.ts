/**
 * What `resultity doctor` says: one finding a check, with the next step for whoever reads it. A check that fails, breaks or hangs is a bad finding
 * like any other, so an examination always ends, and within seconds: a server that swallowed one question is not asked the next.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

export interface Finding {
  /** `PostgreSQL`, `data folder`, `host`. */
  readonly server: string
  /** Of it, what was looked at: `clock`. */
  readonly what: string
  /** `warning`: it works, and should not stay so. `bad`: a daemon would not start, would stop, or would lose something. */
  readonly level: "good" | "warning" | "bad"
  readonly said: string
  /** What to do about it; null when there is nothing to do. */
  readonly todo: string | null
}

/** What a check makes of one thing; whose it is and what it is called is known. */
export type Verdict = Pick<Finding, "level" | "said" | "todo">

export const good = (said: string): Verdict => ({ level: "good", said, todo: null })
export const warning = (said: string, todo: string): Verdict => ({ level: "warning", said, todo })
export const bad = (said: string, todo: string): Verdict => ({ level: "bad", said, todo })

export interface Check {
  readonly what: string
  /** For a check that came to no verdict. */
  readonly todo: string
  readonly verdict: Effect.Effect<Verdict | ReadonlyArray<Verdict>, unknown>
}

/** A question that came to no answer; why, is in the words of the driver. */
export class Unanswered extends Data.TaggedError("Unanswered")<{ readonly cause: unknown }> {
  override get message(): string {
    return reasonOf(this.cause)
  }
}

export const unanswered = (cause: unknown): Unanswered => new Unanswered({ cause })

export const ask = <A>(question: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, Unanswered> =>
  Effect.tryPromise({ try: question, catch: unanswered })

/** For one question, the connection included. */
const ANSWER_MS = 3_000
/** For one server. */
const SERVER_MS = 8_000

class NoAnswer extends Data.TaggedError("NoAnswer")<{ readonly ms: number }> {
  override get message(): string {
    return `no answer within ${this.ms / 1000} s`
  }
}

/** Nobody waits for its end, either: a driver that says goodbye to a frozen server would wait for ever. */
const bounded = <A, E, R>(effect: Effect.Effect<A, E, R>, ms: number): Effect.Effect<A, E | NoAnswer, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkDetach(effect, { startImmediately: true })
    const late = Effect.andThen(Effect.forkDetach(Fiber.interrupt(fiber)), Effect.fail(new NoAnswer({ ms })))
    return yield* Effect.timeoutOrElse(Fiber.join(fiber), { duration: ms, orElse: () => late })
  })

/** The innermost sentence on one line: drivers wrap what the server said. */
export const reasonOf = (cause: unknown): string => {
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0])
  if (!(cause instanceof Error)) return String(cause)
  const inner = cause.cause ?? ("reason" in cause ? cause.reason : undefined)
  if (inner instanceof Error || cause instanceof Unanswered) return reasonOf(inner)
  return (cause.message || cause.name).replaceAll(/\s+/g, " ").slice(0, 300)
}

interface Checked {
  readonly findings: ReadonlyArray<Finding>
  readonly isSilent: boolean
}

const lookAt = (server: string, { what, todo, verdict }: Check, ms: number): Effect.Effect<Checked> =>
  Effect.matchCause(bounded(verdict, ms), {
    onSuccess: (verdicts) => ({
      findings: [verdicts].flat().map((each) => ({ server, what, ...each })),
      isSilent: false
    }),
    onFailure: (cause) => {
      const failure = Cause.squash(cause)
      return { findings: [{ server, what, ...bad(reasonOf(failure), todo) }], isSilent: failure instanceof NoAnswer }
    }
  })

/** Never fails and never hangs: what goes wrong while looking is a bad finding. */
export const checked = (server: string, check: Check): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.map(lookAt(server, check, ANSWER_MS), ({ findings }) => findings)

const REST = "what was not looked at"

/** One after the other, until one hangs or the time for this server is up. */
const inTurn = Effect.fnUntraced(function* (server: string, checks: ReadonlyArray<Check>) {
  const findings: Array<Finding> = []
  const until = (yield* Clock.currentTimeMillis) + SERVER_MS
  for (const [index, check] of checks.entries()) {
    const left = until - (yield* Clock.currentTimeMillis)
    const looked = yield* lookAt(server, check, Math.max(1, Math.min(ANSWER_MS, left)))
    findings.push(...looked.findings)
    const rest = checks.slice(index + 1).map(({ what }) => what)
    if (!looked.isSilent || rest.length === 0) continue
    return [...findings, { server, what: REST, ...bad(rest.join(", "), "Run it again once the server answers.") }]
  }
  return findings
})

export interface Reach<A> {
  /** What to do when it cannot be opened. */
  readonly todo: string
  /** A connection of its own, which ends with the scope. */
  readonly open: Effect.Effect<A, unknown, Scope.Scope>
}

/** Opens, asks everything in turn, closes. What cannot be opened is one bad finding and nothing more. */
export const examined = <A>(
  server: string,
  { todo, open }: Reach<A>,
  checks: (opened: A) => ReadonlyArray<Check>
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const scope: Context.Context<Scope.Scope> = yield* Effect.context<Scope.Scope>()
    let opened: { readonly value: A } | null = null
    const verdict = Effect.map(Effect.provideContext(open, scope), (value) => {
      opened = { value }
      return []
    })
    const unreached = yield* checked(server, { what: "reachable", todo, verdict })
    const reached = opened as { readonly value: A } | null
    return reached === null ? unreached : yield* inTurn(server, checks(reached.value))
  }).pipe(Effect.scoped)

const PINGS = 5
const SLOW_MS = 50

/** The best of some round trips. */
export const speed = <E>(ping: Effect.Effect<unknown, E>): Effect.Effect<Verdict, E> =>
  Effect.gen(function* () {
    const trips: Array<number> = []
    for (let trip = 0; trip < PINGS; trip++) {
      const before = yield* Clock.monotonicTimeNanos
      yield* ping
      trips.push(Number((yield* Clock.monotonicTimeNanos) - before) / 1e6)
    }
    const best = Math.min(...trips)
    const said = `it answers in ${best.toFixed(best < 10 ? 1 : 0)} ms`
    return best <= SLOW_MS
      ? good(said)
      : warning(said, "Run the daemons nearer to it: every job waits for several such round trips.")
  })

const SKEW_WARNING_MS = 1_000
const SKEW_BAD_MS = 10_000

/**
 * Its clock, in epoch milliseconds, against this machine's. What the round trip and the server's own rounding (`within`, to either side) may explain
 * is not held against it.
 */
export const clock = <E>(theirs: Effect.Effect<number, E>, within = 0): Effect.Effect<Verdict, E> =>
  Effect.gen(function* () {
    const before = yield* Clock.currentTimeMillis
    const told = yield* theirs
    const after = yield* Clock.currentTimeMillis
    const skew = told - (before + after) / 2
    const sure = Math.max(0, Math.abs(skew) - (after - before) / 2 - within)
    if (sure <= SKEW_WARNING_MS) return good(`within ${SKEW_WARNING_MS / 1000} s of this machine's`)
    const said = `${(Math.abs(skew) / 1000).toFixed(1)} s ${skew < 0 ? "behind" : "ahead of"} this machine's`
    const todo = "Find out which of the two is wrong (timedatectl, chronyc tracking), set it, and have NTP keep it."
    return sure > SKEW_BAD_MS ? bad(said, todo) : warning(said, todo)
  })

const FREE_WARNING = 0.15
const FREE_BAD = 0.05

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"]

export const size = (bytes: number): string => {
  const step = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 2 ** (10 * step)).toFixed(step === 0 ? 0 : 1)} ${UNITS[step]}`
}

/** Of a disk. */
export const room = (free: number, total: number): Verdict => {
  const share = total > 0 ? free / total : 1
  const said = `${size(free)} of ${size(total)} are free (${Math.floor(share * 100)} %)`
  const todo = "Make room or add some before it is full: then nothing can be written at all."
  if (share < FREE_BAD) return bad(said, todo)
  return share < FREE_WARNING ? warning(said, todo) : good(said)
}

/** The first number of `18.4 (Debian)`; NaN when there is none. */
export const majorOf = (version: string): number => Number.parseInt(/\d+/.exec(version)?.[0] ?? "", 10)
