/** The audit's chain. Appends of all daemons queue at one lock, which is held for one insert; so there is one chain and no race for its end. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import { Audit, type AuditFact, type AuditRow, FIRST_HASH, hashOf, make } from "../Audit.ts"
import { PgClient } from "./PgClient.ts"
import { freeText, fromFreeText, limited, text, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "Audit", method })

/** Of all that lock in this database, the audits: its first four letters. One lock a schema. */
const LOCK_CLASS = 0x61756469

interface StoredFact {
  readonly seq: bigint
  readonly actor: string
  readonly action: string
  readonly subject: string
  readonly reason: string
  readonly detail: string
  readonly at: bigint
  readonly hash: string
}

const rowOf = (stored: StoredFact): AuditRow => ({
  seq: Number(stored.seq),
  actor: fromFreeText(stored.actor),
  action: fromFreeText(stored.action),
  subject: fromFreeText(stored.subject),
  reason: fromFreeText(stored.reason),
  detail: JSON.parse(stored.detail) as Schema.JsonObject,
  at: Number(stored.at),
  hash: stored.hash
})

/**
 * Whoever appends waits for who appends, and readers for nobody. Not a lock of the table: that needs the privilege to change rows, which a daemon's
 * own role does not have here, and waits for the server's own upkeep.
 */
const LOCK = `SELECT pg_advisory_xact_lock(${LOCK_CLASS}, hashtext(current_schema()))`
const LAST = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"
const INSERT = `INSERT INTO audit (seq, actor, action, subject, reason, detail, at, hash)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

const append = ({ sql, transaction }: PgClient["Service"], fact: AuditFact) =>
  transaction(
    during("append"),
    Effect.gen(function* () {
      yield* sql.unsafe(LOCK)
      const [last] = yield* sql.unsafe<Pick<StoredFact, "seq" | "hash">>(LAST)
      const seq = Number(last?.seq ?? 0n) + 1
      const hash = hashOf(last?.hash ?? FIRST_HASH, fact)
      const { actor, action, subject, reason, detail, at } = fact
      yield* sql.unsafe(INSERT, [
        whole(seq),
        freeText(actor),
        freeText(action),
        freeText(subject),
        freeText(reason),
        text(JSON.stringify(detail)),
        whole(at),
        text(hash)
      ])
      return { ...fact, seq, hash } satisfies AuditRow
    })
  )

const LIST = "SELECT * FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2"

export const layer: Layer.Layer<Audit, never, PgClient> = Layer.effect(
  Audit,
  Effect.map(PgClient, (client) =>
    make({
      append: (fact) => append(client, fact),
      list: (afterSeq, limit) =>
        Effect.map(client.query<StoredFact>(during("list"), LIST, [whole(afterSeq), limited(limit)]), (rows) =>
          rows.map(rowOf)
        )
    })
  )
)
