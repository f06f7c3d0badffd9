/**
 * The rules that an operator may change while daemons run: prices, limits, patience. Each change is a new
 * version with who and why; its digest is what nodes report as the configuration they work under.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { CreditsFromString } from "./Credits.ts"
import { DetectorRules } from "./DetectorRules.ts"
import { initialRetention, RetentionSettings } from "./Retention.ts"

const Ms = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 86_400_000 }))

/** Of a rule that is younger than the versions that may be stored already. */
const startingAt = (initial: number) => Schema.withDecodingDefaultKey<Schema.Finite>(Effect.succeed(initial))

export const Price = Schema.Struct({
  perPromptToken: CreditsFromString,
  perOutputToken: CreditsFromString,
  perRequest: CreditsFromString
})
export type Price = typeof Price.Type

export const RuntimeSettings = Schema.Struct({
  /** Micro-credits by model; `default` for a model that is not named. */
  prices: Schema.Record(Schema.String, Price),
  /** Names that stand for a model. */
  aliases: Schema.Record(Schema.String, Schema.String),
  /** Output tokens when the request names none. */
  outputTokensDefault: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 131_072 })),
  /** The most that a request may ask for. */
  outputTokensMax: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_048_576 })),
  /** Node faults after which a job fails. */
  failuresMax: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 })),
  /** Deaths of actor or daemon after which a job fails as poison. */
  crashesMax: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })),
  /** Time to live by mode. */
  deadlineMs: Schema.Struct({ sync: Ms, stream: Ms, polling: Ms }),
  /** How long a node may take to accept. */
  acceptMs: Ms,
  /** How long one attempt may run. */
  executionMs: Ms,
  /** The longest silence within a running attempt. */
  idleMs: Ms,
  /** How long a lost node may take to come back with what it kept. */
  graceMs: Ms,
  backoffMs: Ms,
  backoffMaxMs: Ms,
  heartbeatMs: Ms,
  presenceMs: Ms,
  /** Consecutive faults that send a node into cooldown, and how long the first one lasts; it doubles. */
  cooldownFaults: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })),
  cooldownMs: Ms,
  cooldownMaxMs: Ms,
  idempotencyMs: Ms,
  /** Jobs that may wait for the broker before admission answers 503. */
  outboxMax: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000_000 })),
  /** Jobs that may wait in one lane before admission answers 503. */
  laneMax: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000_000 })),
  /** Age of the last snapshot at which the next one is made; 0: none by itself. Versions of earlier programs have none. */
  snapshotEveryMs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 31_622_400_000 })).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0))
  ),
  /** Snapshots that stay, the newest; 0: all. */
  snapshotsKept: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000 })).pipe(startingAt(0)),
  /** A job that completed after so long is a warning. Stored settings may be older than this rule, and those below. */
  slowJobMs: Ms.pipe(Schema.withDecodingDefaultKey(Effect.succeed(120_000))),
  /** The mean probability of an answer's tokens below which it is one of low confidence. */
  confidenceMin: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(0.3))
  ),
  /** By flag: words that set it. */
  moderation: Schema.Record(
    Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_]{0,63}$/)),
    Schema.Array(Schema.String.check(Schema.isPattern(/^\S.{0,99}$/u))).check(Schema.isMaxLength(1000))
  ).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  detectors: DetectorRules.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
  /** How long what is kept; versions of earlier programs have none. */
  retention: RetentionSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed(initialRetention))),
  /** Trials an hour, on average, of each node with each model that an evaluation set is for; 0: none. */
  blindPerHour: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 3600 })).pipe(startingAt(0)),
  /** Of repeatable trials, and of repeatable jobs of namespaces that allow it, how many are done by another node as well. */
  replicaShare: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })).pipe(startingAt(0)),
  /** A node that is certainly worse than this with a model is quarantined; 0: never. */
  quarantineBelow: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })).pipe(startingAt(0.5)),
  /** Samples without which no node is quarantined. */
  quarantineSamples: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000 })).pipe(startingAt(20)),
  /** Re-tests in a row that lift a quarantine. */
  retestPasses: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })).pipe(startingAt(5)),
  /** Re-tests an hour, on average, of each model of a quarantined node. */
  retestPerHour: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 3600 })).pipe(startingAt(60))
})
export type RuntimeSettings = typeof RuntimeSettings.Type

/** The settings a new installation starts with, in JSON form. */
export const initialSettings: typeof RuntimeSettings.Encoded = {
  prices: {
    default: { perPromptToken: "1", perOutputToken: "3", perRequest: "0" }
  },
  aliases: {},
  outputTokensDefault: 1024,
  outputTokensMax: 32_768,
  failuresMax: 3,
  crashesMax: 25,
  deadlineMs: { sync: 180_000, stream: 180_000, polling: 3_600_000 },
  acceptMs: 5_000,
  executionMs: 120_000,
  idleMs: 30_000,
  graceMs: 2_000,
  backoffMs: 250,
  backoffMaxMs: 15_000,
  heartbeatMs: 10_000,
  presenceMs: 30_000,
  cooldownFaults: 5,
  cooldownMs: 30_000,
  cooldownMaxMs: 3_600_000,
  idempotencyMs: 86_400_000,
  outboxMax: 100_000,
  laneMax: 100_000,
  snapshotEveryMs: 0,
  snapshotsKept: 0,
  retention: initialRetention,
  blindPerHour: 0,
  replicaShare: 0,
  quarantineBelow: 0.5,
  quarantineSamples: 20,
  retestPasses: 5,
  retestPerHour: 60
}

/** One published version of the settings. */
export const SettingsVersion = Schema.Struct({
  version: Schema.Int,
  digest: Schema.String,
  settings: RuntimeSettings,
  by: Schema.String,
  reason: Schema.String,
  at: Schema.Int
})
export type SettingsVersion = typeof SettingsVersion.Type
