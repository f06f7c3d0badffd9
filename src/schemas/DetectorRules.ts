/**
 * When a detector says that something is wrong, and when it says that it is well again: the second bound is always apart from the first, so that
 * nothing flaps. Each rule has a default of its own, so settings that were stored before it was known still decode.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const count = (most: number, otherwise: number) =>
  Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: most })).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(otherwise))
  )
const percent = (otherwise: number) =>
  Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100 })).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(otherwise))
  )
const whole = <S extends Schema.Top>(schema: S) =>
  schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed({} as S["Encoded"])))

const DAY_MS = 86_400_000
const VOLUME_MAX = 1_000_000

/** What befalls a node that a detector speaks against, besides the incident. It ends by itself, or with a reinstatement. */
export const Restrict = Schema.Literals(["none", "cooldown", "quarantined"])
export type Restrict = typeof Restrict.Type
const restrict = Restrict.pipe(Schema.withDecodingDefaultKey(Effect.succeed("none" as const)))

export const AbuseRules = Schema.Struct({
  /** Refused requests of one key within the window, its own fault, that are too many; half of it is well again. */
  rejectionsMax: count(VOLUME_MAX, 500),
  /** Requests a second that an abusing key may still make; null: its own limit. */
  throttlePerSecond: Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 }))).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(null))
  )
})

export const ErrorSpikeRules = Schema.Struct({
  failedPercent: percent(25),
  recoveredPercent: percent(10),
  volumeMin: count(VOLUME_MAX, 20)
})

export const LatencyRules = Schema.Struct({
  /** How much slower than its baseline a model on a node may be, at p95. */
  risePercent: count(100_000, 100),
  recoveredPercent: count(100_000, 50),
  /** Jobs within the window. */
  volumeMin: count(VOLUME_MAX, 20),
  /** Windows that make a baseline. */
  windowsMin: count(12, 3),
  /** A rise of less than this is none. */
  riseMsMin: count(DAY_MS, 250)
})

export const LyingRules = Schema.Struct({
  /** Results within the window whose token counts or hashes are not what was seen. */
  mismatchesMax: count(VOLUME_MAX, 3),
  /** More than any machine makes. */
  tokensPerSecondMax: count(10_000_000, 20_000),
  /** More tokens for as much text than the other nodes of the model claim. */
  inflationPercent: count(100_000, 50),
  /** The same long answer to requests of different lengths. */
  sameAnswersMax: count(VOLUME_MAX, 5),
  restrict
})

export const UnavailableRules = Schema.Struct({
  /** How long a job may wait for a model that nobody serves. */
  waitMs: count(DAY_MS, 15_000)
})

export const BalanceRules = Schema.Struct({
  /** Of what was granted; twice as much is well again. */
  lowPercent: percent(10)
})

export const SlaTarget = Schema.Struct({
  /** Of the jobs that ended, not counting cancelled ones. */
  availabilityPercent: Schema.optionalKey(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100 }))),
  firstTokenMs: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: DAY_MS }))),
  totalMs: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: DAY_MS }))),
  /** Of latencies that are compared. */
  percentile: count(100, 95),
  /** Of a target for nodes. */
  restrict
})
export type SlaTarget = typeof SlaTarget.Type

export const SLA_SUBJECT = /^(model|subcloud|node)\/.{1,128}$/u

export const SlaRules = Schema.Struct({
  windowMs: count(DAY_MS, 3_600_000),
  volumeMin: count(VOLUME_MAX, 20),
  /** By `model/NAME`, `subcloud/NAME`, `node/ID`, or with `*` for all that have none of their own. */
  targets: Schema.Record(Schema.String.check(Schema.isPattern(SLA_SUBJECT)), SlaTarget).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed({}))
  )
})

export const DetectorRules = Schema.Struct({
  /** What detectors look at: so far back. */
  windowMs: Schema.Int.check(Schema.isBetween({ minimum: 10_000, maximum: DAY_MS })).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(300_000))
  ),
  /** How long a restriction that a detector sets lasts, unless it is set again. */
  restrictMs: count(DAY_MS, 900_000),
  abuse: whole(AbuseRules),
  errorSpike: whole(ErrorSpikeRules),
  latency: whole(LatencyRules),
  lying: whole(LyingRules),
  unavailable: whole(UnavailableRules),
  balance: whole(BalanceRules),
  sla: whole(SlaRules)
})
export type DetectorRules = typeof DetectorRules.Type

/** All defaults. */
export const defaultDetectors: DetectorRules = Schema.decodeUnknownSync(DetectorRules)({})
