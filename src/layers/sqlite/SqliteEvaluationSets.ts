/** Versions of evaluation sets, one row each, never changed. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { EvaluationSet, EvaluationSetLine } from "../../schemas/Quality.ts"
import { EvaluationSets, lineOf, make, SETS_MAX } from "../EvaluationSets.ts"
import { json } from "./RecordColumns.ts"
import { SqliteClient, type Sql } from "./SqliteClient.ts"

const during = (method: string) => ({ of: "EvaluationSets", method })

export const layer = Layer.effect(
  EvaluationSets,
  Effect.map(SqliteClient, ({ read, write }) =>
    make({
      append: (set) => write(during("append"), (sql) => Result.succeed(append(sql, set))),
      list: read(during("list"), (sql) =>
        sql(`SELECT line FROM evaluation_set AS newest
          WHERE version = (SELECT max(version) FROM evaluation_set WHERE id = newest.id) ORDER BY id LIMIT ?`)
          .all(SETS_MAX)
          .map((row) => json<EvaluationSetLine>(row, "line"))
      ),
      get: (id, version) =>
        read(during("get"), (sql) => {
          const row = sql(`SELECT body FROM evaluation_set WHERE id = :id AND version = coalesce(:version,
            (SELECT max(version) FROM evaluation_set WHERE id = :id))`).get({ id, version })
          return row === undefined ? null : json<EvaluationSet>(row, "body")
        }),
      history: (id, limit) =>
        read(during("history"), (sql) =>
          sql("SELECT line FROM evaluation_set WHERE id = ? ORDER BY version DESC LIMIT ?")
            .all(id, limit)
            .map((row) => json<EvaluationSetLine>(row, "line"))
        )
    })
  )
)

const append = (sql: Sql, set: EvaluationSet): boolean => {
  const { changes } = sql(`INSERT INTO evaluation_set (id, version, line, body) SELECT :id, :version, :line, :body
    WHERE :version = (SELECT coalesce(max(version), 0) + 1 FROM evaluation_set WHERE id = :id)`).run({
    id: set.id,
    version: set.version,
    line: JSON.stringify(lineOf(set)),
    body: JSON.stringify(set)
  })
  return changes > 0
}
