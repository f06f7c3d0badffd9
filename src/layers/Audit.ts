/** Who changed what through the control listener, and why. Append-only and hash-chained: each row's hash covers the row before it. */
import { createHash } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import type { Outage } from "./Outage.ts"

export interface AuditFact {
  /** `operator/control`, `daemon/…`. */
  readonly actor: string
  readonly action: string
  readonly subject: string
  readonly reason: string
  readonly detail: Schema.JsonObject
  readonly at: number
}

export interface AuditRow extends AuditFact {
  readonly seq: number
  readonly hash: string
}

export interface Driver {
  /** Appends one row whose hash is `hashOf(previous hash, fact)`; concurrent calls make one chain. */
  readonly append: (fact: AuditFact) => Effect.Effect<AuditRow, Outage>
  /** Rows after `afterSeq`, oldest first. */
  readonly list: (afterSeq: number, limit: number) => Effect.Effect<ReadonlyArray<AuditRow>, Outage>
}

export class Audit extends Context.Service<
  Audit,
  Driver & {
    /** The first row that does not follow from the ones before it, or null. Reads in pages. */
    readonly verify: Effect.Effect<AuditRow | null, Outage>
  }
>()("resultity/layers/Audit") {}

export const FIRST_HASH = "0".repeat(64)

export const hashOf = (previous: string, { actor, action, subject, reason, detail, at }: AuditFact): string =>
  createHash("sha256")
    .update(previous)
    .update(canonicalJson({ actor, action, subject, reason, detail, at }))
    .digest("hex")

const PAGE = 1000

export const make = (driver: Driver): Audit["Service"] =>
  Audit.of({
    append: Effect.fn("Audit.append")(driver.append),
    list: driver.list,
    verify: Effect.gen(function* () {
      let previous = FIRST_HASH
      let after = 0
      while (true) {
        const rows = yield* driver.list(after, PAGE)
        for (const row of rows) {
          if (row.seq !== after + 1 || row.hash !== hashOf(previous, row)) return row
          previous = row.hash
          after = row.seq
        }
        if (rows.length < PAGE) return null
      }
    })
  })
