/**
 * How long what is kept in the live stores: named tiers with a clock for each class of data, and what happens to a class while there is no cold storage.
 * Nothing is kept for ever: every clock ends, and a legal hold moves data to the archive at the last of them.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** bodies: request, answer and pieces. metadata: the rest of a job, with its log. logs: entries of no live job. */
export const RetentionClass = Schema.Literals(["bodies", "metadata", "logs", "incidents"])
export type RetentionClass = typeof RetentionClass.Type

export const DAYS_MAX = 180

const ROW_DAYS = 90
const ROW_DAYS_MAX = 3_650

const Days = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: DAYS_MAX }))

export const Tier = Schema.Struct({ bodies: Days, metadata: Days, logs: Days, incidents: Days })
export type Tier = typeof Tier.Type

/** archive and hold: it waits, and the first is a warning. drop: it is deleted all the same. */
export const ColdRule = Schema.Literals(["archive", "hold", "drop"])
export type ColdRule = typeof ColdRule.Type

const TierName = Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_-]{0,31}$/))

/** There is always the one that holds where nothing else is said. */
const Tiers = Schema.StructWithRest(Schema.Struct({ standard: Tier }), [Schema.Record(TierName, Tier)])

export const RetentionSettings = Schema.Struct({
  tiers: Tiers,
  /** By class, where no cold storage is configured. */
  withoutArchive: Schema.Struct({ bodies: ColdRule, metadata: ColdRule, logs: ColdRule, incidents: ColdRule }),
  /** How long the answer of a namespace that keeps no payloads can still be fetched. */
  resultWindowMs: Schema.Int.check(Schema.isBetween({ minimum: 1_000, maximum: 604_800_000 })),
  /** How long the rows of a day's jobs stay after the day. Versions of earlier programs have none. */
  rowDays: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: ROW_DAYS_MAX })).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(ROW_DAYS))
  )
})
export type RetentionSettings = typeof RetentionSettings.Type

export const initialRetention: typeof RetentionSettings.Encoded = {
  tiers: {
    standard: { bodies: 30, metadata: 90, logs: 90, incidents: 90 },
    extended: { bodies: 180, metadata: 180, logs: 180, incidents: 180 }
  },
  withoutArchive: { bodies: "hold", metadata: "hold", logs: "hold", incidents: "hold" },
  resultWindowMs: 3_600_000,
  rowDays: ROW_DAYS
}
