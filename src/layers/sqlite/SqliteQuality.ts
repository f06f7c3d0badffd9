/** Trials, evidence and standings in the embedded database. Evidence of ordinary jobs comes often and may be lost with the power: it is written lazily. */
import type { SQLInputValue } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { NodeId } from "../../schemas/Ids.ts"
import type { Evidence, Score, Standing, Trial } from "../../schemas/Quality.ts"
import { type Forgetting, make, Quality, type StandingQuery, type TrialQuery } from "../Quality.ts"
import { freeText, json, maybe, number, type Row } from "./RecordColumns.ts"
import { SqliteClient, type Sql } from "./SqliteClient.ts"

const during = (method: string) => ({ of: "Quality", method })

export const layer = Layer.effect(
  Quality,
  Effect.map(SqliteClient, ({ read, write }) =>
    make({
      put: (trial) => write(during("put"), (sql) => Result.succeed(put(sql, trial))),
      trials: (query) =>
        read(during("trials"), (sql) => ("open" in query ? openTrials(sql, query.open) : trials(sql, query))),
      count: (evidence) =>
        write(during("count"), (sql) => Result.succeed(evidence.forEach((one) => count(sql, one))), {
          durable: evidence.some(({ source }) => source === "trials")
        }),
      evidence: (nodeId, model, source, limit) =>
        read(during("evidence"), (sql) =>
          sql(`SELECT body FROM evidence WHERE node_id = ? AND model = ? AND source = ?
            ORDER BY at DESC, id DESC LIMIT ?`)
            .all(nodeId, modelText(model), source, limit)
            .map((row) => json<Evidence>(row, "body"))
        ),
      standings: (query) => read(during("standings"), (sql) => standings(sql, query)),
      settle: ({ nodeId, model, rev, score }) =>
        write(during("settle"), (sql) => {
          sql(`UPDATE standing SET scored_rev = :rev, score = :score
            WHERE node_id = :nodeId AND model = :model AND scored_rev <= :rev`).run({
            rev,
            score: JSON.stringify(score),
            nodeId,
            model: modelText(model)
          })
          return Result.void
        }),
      forget: (what) => write(during("forget"), (sql) => Result.succeed(forget(sql, what)))
    })
  )
)

const modelText = (model: string): string => freeText(model) ?? ""

const put = (sql: Sql, trial: Trial): void => {
  sql(`INSERT INTO trial (id, kind, state, node_id, model, set_id, planned_at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body
    WHERE state IN ('planned', 'running')`).run(
    trial.id,
    trial.kind,
    trial.state,
    trial.nodeId,
    modelText(trial.model),
    trial.setId,
    trial.plannedAt,
    JSON.stringify(trial)
  )
}

/** `of`: the column, and what it must be. */
const asked = (of: Readonly<Record<string, SQLInputValue | undefined>>) =>
  Object.entries(of).flatMap(([column, value]) => (value === undefined ? [] : [{ column, value }]))

const openTrials = (sql: Sql, limit: number): ReadonlyArray<Trial> =>
  sql(
    `SELECT body FROM trial INDEXED BY trial_open WHERE state IN ('planned', 'running') ORDER BY planned_at, id LIMIT ?`
  )
    .all(limit)
    .map((row) => json<Trial>(row, "body"))

/** Most selective first: the first condition asked for chooses the index. */
const trialIndex = ({ nodeId, setId }: TrialQuery): string => {
  if (nodeId !== undefined) return "trial_by_node"
  return setId === undefined ? "trial_by_time" : "trial_by_set"
}

const trials = (sql: Sql, query: TrialQuery): ReadonlyArray<Trial> => {
  const { kind, state, nodeId, model, setId, limit } = query
  const conditions = asked({
    node_id: nodeId,
    set_id: setId,
    kind,
    state,
    model: model === undefined ? undefined : modelText(model)
  })
  const where = conditions.map(({ column }) => `AND ${column} = ?`).join(" ")
  return sql(`SELECT body FROM trial INDEXED BY ${trialIndex(query)} WHERE TRUE ${where}
    ORDER BY planned_at DESC, id DESC LIMIT ?`)
    .all(...conditions.map(({ value }) => value), limit)
    .map((row) => json<Trial>(row, "body"))
}

const count = (sql: Sql, one: Evidence): void => {
  const model = modelText(one.model)
  sql(
    `INSERT INTO evidence (id, node_id, model, source, at, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
  ).run(one.id, one.nodeId, model, one.source, one.at, JSON.stringify(one))
  sql(`INSERT INTO standing (node_id, model, rev, scored_rev) VALUES (?, ?, 1, 0)
    ON CONFLICT (node_id, model) DO UPDATE SET rev = rev + 1`).run(one.nodeId, model)
}

const standingOf = (row: Row): Standing => ({
  nodeId: row["node_id"] as NodeId,
  model: json<string>(row, "model"),
  rev: number(row, "rev"),
  scoredRev: number(row, "scored_rev"),
  score: maybe(row, "score", json<Score>)
})

const standings = (sql: Sql, { pending, nodeId, model, limit }: StandingQuery): ReadonlyArray<Standing> => {
  const conditions = asked({ node_id: nodeId, model: model === undefined ? undefined : modelText(model) })
  const where = conditions.map(({ column }) => `AND ${column} = ?`).join(" ")
  return sql(`SELECT * FROM standing WHERE ${pending === true ? "rev > scored_rev" : "TRUE"} ${where}
    ORDER BY node_id, model LIMIT ?`)
    .all(...conditions.map(({ value }) => value), limit)
    .map(standingOf)
}

const forget = (sql: Sql, what: Forgetting): number => {
  if (what._tag === "Node") {
    sql("DELETE FROM standing WHERE node_id = ?").run(what.nodeId)
    return Number(sql("DELETE FROM evidence WHERE node_id = ?").run(what.nodeId).changes)
  }
  const { before, limit } = what
  const old = sql(`DELETE FROM trial WHERE id IN (SELECT id FROM trial INDEXED BY trial_by_time
    WHERE planned_at < ? AND state NOT IN ('planned', 'running') ORDER BY planned_at, id LIMIT ?)`).run(before, limit)
  const evidence = sql(`DELETE FROM evidence WHERE id IN (SELECT id FROM evidence INDEXED BY evidence_by_time
    WHERE at < ? ORDER BY at, id LIMIT ?)`).run(before, limit)
  return Number(old.changes) + Number(evidence.changes)
}
