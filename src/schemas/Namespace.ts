/** The unit which pays and is limited, its keys, and the rules that hold for its jobs. */
import * as Schema from "effect/Schema"
import { KeyId, NamespaceId } from "./Ids.ts"
import { Environment } from "./Job.ts"

export const STANDARD_TIER = "standard"
export const RetentionTier = Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_-]{0,31}$/))

export const NamespaceRules = Schema.Struct({
  /** May ask for priority `urgent`. */
  urgent: Schema.Boolean,
  /** Share of a lane against other namespaces. */
  weight: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })),
  /** Jobs that are not ended, at most. */
  openJobsMax: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 })),
  /** Days a finished job stays in the live records; null: as its tier says. */
  retentionDays: Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 180 }))),
  /** Which clocks of the settings hold; absent: `standard`. */
  retentionTier: Schema.optionalKey(RetentionTier),
  /** Legal hold over all its jobs: none is erased, dropped or pruned while it lasts. */
  held: Schema.optionalKey(Schema.Boolean),
  /** Whether prompt and answer are kept after the result window. */
  persistPayloads: Schema.Boolean
})
export type NamespaceRules = typeof NamespaceRules.Type

export const defaultRules: NamespaceRules = {
  urgent: false,
  weight: 1,
  openJobsMax: 10_000,
  retentionDays: null,
  persistPayloads: true
}

export const Namespace = Schema.Struct({
  id: NamespaceId,
  name: Schema.String.check(Schema.isPattern(/^[a-zA-Z0-9][a-zA-Z0-9 ._-]{0,63}$/)),
  environment: Environment,
  rules: NamespaceRules,
  createdAt: Schema.Int
})
export type Namespace = typeof Namespace.Type

/** Whose request it is, as found by its key. */
export interface Caller {
  readonly namespace: Namespace
  readonly keyId: KeyId
}

/** A key without its secret: only the SHA-256 of the secret is stored, and the first characters to recognise it by. */
export const ApiKey = Schema.Struct({
  id: KeyId,
  namespaceId: NamespaceId,
  label: Schema.String.check(Schema.isMaxLength(128)),
  prefix: Schema.String,
  ratePerSecond: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 })),
  createdAt: Schema.Int,
  expiresAt: Schema.NullOr(Schema.Int),
  revokedAt: Schema.NullOr(Schema.Int)
})
export type ApiKey = typeof ApiKey.Type
