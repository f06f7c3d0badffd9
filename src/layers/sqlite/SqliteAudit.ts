/** The audit chain in the embedded database. Appends run one after the other within the group commit, so there is one chain and no race for its end. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { Audit, type AuditFact, type AuditRow, FIRST_HASH, hashOf, make } from "../Audit.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "Audit", method })

export const layer: Layer.Layer<Audit, never, SqliteClient> = Layer.effect(
  Audit,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      append: (fact) => write(during("append"), (sql) => Result.succeed(append(sql, fact))),
      list: (afterSeq, limit) =>
        read(during("list"), (sql) =>
          sql("SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT max(?, 0)").all(afterSeq, limit).map(rowOf)
        )
    })
  })
)

const rowOf = (stored: Record<string, unknown>): AuditRow => ({
  seq: stored["seq"] as number,
  actor: stored["actor"] as string,
  action: stored["action"] as string,
  subject: stored["subject"] as string,
  reason: stored["reason"] as string,
  detail: JSON.parse(stored["detail"] as string) as Schema.JsonObject,
  at: stored["at"] as number,
  hash: stored["hash"] as string
})

const append = (sql: Sql, fact: AuditFact): AuditRow => {
  const last = sql("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").get()
  const seq = Number(last?.["seq"] ?? 0) + 1
  const hash = hashOf(String(last?.["hash"] ?? FIRST_HASH), fact)
  const { actor, action, subject, reason, detail, at } = fact
  sql("INSERT INTO audit (seq, actor, action, subject, reason, detail, at, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)").run(
    seq,
    actor,
    action,
    subject,
    reason,
    JSON.stringify(detail),
    at,
    hash
  )
  return { seq, actor, action, subject, reason, detail, at, hash }
}
