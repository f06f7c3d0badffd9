/** What `resultity doctor` finds: a statement about one thing, how bad it is, and what to do about it. */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

export interface Finding {
  /** What was looked at: `PostgreSQL`, `data folder`. */
  readonly subject: string
  /** `warning`: it works and should not stay so. `failure`: a daemon would not start, or would lose something. */
  readonly level: "ok" | "warning" | "failure"
  readonly what: string
  /** The next step for whoever reads it; null when there is none. */
  readonly advice: string | null
}

export const ok = (subject: string, what: string): Finding => ({ subject, level: "ok", what, advice: null })
export const warning = (subject: string, what: string, advice: string): Finding => ({
  subject,
  level: "warning",
  what,
  advice
})
export const failure = (subject: string, what: string, advice: string): Finding => ({
  subject,
  level: "failure",
  what,
  advice
})

/** A question that a server, or its driver, answered with an error. */
export class Unanswered extends Data.TaggedError("Unanswered")<{ readonly cause: unknown }> {
  override get message(): string {
    return reasonOf(this.cause)
  }
}

export const ask = <A>(question: () => Promise<A>): Effect.Effect<A, Unanswered> =>
  Effect.tryPromise({ try: question, catch: (cause) => new Unanswered({ cause }) })

const ANSWER_MAX_MS = 15_000

/** Findings of one thing. Whatever goes wrong while looking is a finding too, with the advice that fits most often. */
export const looked = <E>(
  subject: string,
  advice: string,
  look: Effect.Effect<ReadonlyArray<Finding>, E>
): Effect.Effect<ReadonlyArray<Finding>> =>
  look.pipe(
    Effect.timeoutOrElse({
      duration: ANSWER_MAX_MS,
      orElse: () => Effect.succeed([failure(subject, `no answer within ${ANSWER_MAX_MS / 1000} s`, advice)])
    }),
    Effect.catch((cause) => Effect.succeed([failure(subject, `cannot be asked: ${reasonOf(cause)}`, advice)]))
  )

/** The innermost sentence: drivers wrap what the server said. */
const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0])
  return cause.cause instanceof Error ? reasonOf(cause.cause) : cause.message || cause.name
}

const SKEW_WARNING_MS = 1_000
const SKEW_FAILURE_MS = 10_000

/** Compares a server's clock, asked for by `ask`, with this machine's. Answers are taken to be half as old as the question. */
export const clockOf = <E>(subject: string, ask: Effect.Effect<number, E>): Effect.Effect<Finding, E> =>
  Effect.gen(function* () {
    const before = yield* Clock.currentTimeMillis
    const theirs = yield* ask
    const after = yield* Clock.currentTimeMillis
    return judgeSkew(subject, theirs - (before + after) / 2)
  })

/** The same for a difference that is known, in milliseconds. */
export const judgeSkew = (subject: string, skewMs: number): Finding => {
  const what = `its clock is ${Math.round(Math.abs(skewMs))} ms ${skewMs < 0 ? "behind" : "ahead of"} this machine's`
  const advice = "Set the clock that is wrong and let it be kept (chronyc tracking, timedatectl)."
  if (Math.abs(skewMs) > SKEW_FAILURE_MS) return failure(subject, what, advice)
  return Math.abs(skewMs) > SKEW_WARNING_MS ? warning(subject, what, advice) : ok(subject, what)
}

/** `24.1.0` against at least 24; of what cannot be read nothing is said but the text. */
export const judgeVersion = (subject: string, version: string, least: number): Finding => {
  const major = Number.parseInt(version, 10)
  return Number.isNaN(major) || major >= least
    ? ok(subject, `version ${version}`)
    : failure(subject, `version ${version}`, `Upgrade it: ${least} is the oldest that this program is made for.`)
}

const GIB = 2 ** 30
const FREE_SHARE_MIN = 0.1

/** Room that is left, in bytes. */
export const judgeRoom = (subject: string, free: number, total: number): Finding => {
  const what = `${(free / GIB).toFixed(1)} GiB of ${(total / GIB).toFixed(1)} GiB are free`
  const advice = "Make room or add some: a full disk stops every write."
  if (free < GIB) return failure(subject, what, advice)
  return free < total * FREE_SHARE_MIN ? warning(subject, what, advice) : ok(subject, what)
}
