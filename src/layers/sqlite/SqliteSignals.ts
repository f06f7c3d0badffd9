/** What detectors look at, by the index of ends and by that of refused keys. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Evaluation, JobRecord, SystemMetrics } from "../../schemas/JobRecord.ts"
import * as Signals from "../Signals.ts"
import { REFUSED_KEY } from "./EpisodesSchema.ts"
import { GIVEN_AT } from "./FeedbackSchema.ts"
import { json, type Row } from "./RecordColumns.ts"
import { type During, SqliteClient } from "./SqliteClient.ts"

const during = (method: keyof Signals.Driver): During => ({ of: "Signals", method })

export const ENDED = `SELECT job_id, finished_at, namespace_id, model, node_id, state, error_code, prompt_tokens,
    output_tokens, system, evaluation, constraints
  FROM record INDEXED BY record_by_finished
  WHERE finished_at IS NOT NULL AND finished_at >= ? AND finished_at < ? ORDER BY finished_at DESC, job_id DESC LIMIT ?`

export const REFUSED = `SELECT key_id, namespace_id, type, count(*) AS requests
  FROM incident INDEXED BY incident_by_refused_key
  WHERE ${REFUSED_KEY} AND at >= ? AND at < ? GROUP BY key_id, namespace_id, type
  ORDER BY requests DESC, key_id, type LIMIT ?`

export const ratedText = (by: Signals.RatedBy): string => {
  const group = by === "node" ? "node_id" : "model"
  const score = "json_extract(evaluation, '$.feedback.score')"
  return `SELECT ${group} AS rated, count(*) AS ratings, avg(${score}) AS mean,
      sum(${score} <= ${Signals.LOW_SCORE}) AS low
    FROM record INDEXED BY record_by_feedback
    WHERE ${GIVEN_AT} IS NOT NULL AND ${GIVEN_AT} >= ? AND ${GIVEN_AT} < ? AND ${group} IS NOT NULL
    GROUP BY ${group} ORDER BY ratings DESC, ${group} LIMIT ?`
}

const ratingsOf =
  (by: Signals.RatedBy) =>
  (row: Row): Signals.Ratings => ({
    group: by === "node" ? (row["rated"] as string) : json<string>(row, "rated"),
    ratings: row["ratings"] as number,
    meanScore: row["mean"] as number,
    low: row["low"] as number
  })

const jobOf = (row: Row): Signals.EndedJob =>
  Signals.endedJob(
    {
      jobId: row["job_id"] as Signals.EndedJob["jobId"],
      finishedAt: row["finished_at"] as number,
      namespaceId: row["namespace_id"] as Signals.EndedJob["namespaceId"],
      model: json<string>(row, "model"),
      nodeId: row["node_id"] as Signals.EndedJob["nodeId"],
      state: row["state"] as Signals.EndedJob["state"],
      errorCode: row["error_code"] === null ? null : json<string>(row, "error_code"),
      promptTokens: row["prompt_tokens"] as number,
      outputTokens: row["output_tokens"] as number
    },
    json<SystemMetrics>(row, "system"),
    json<Evaluation>(row, "evaluation"),
    json<JobRecord["constraints"]>(row, "constraints")
  )

const refusedOf = (row: Row): Signals.RefusedRequests => ({
  keyId: row["key_id"] as Signals.RefusedRequests["keyId"],
  namespaceId: row["namespace_id"] as Signals.RefusedRequests["namespaceId"],
  code: row["type"] as string,
  requests: row["requests"] as number
})

export const layer = Layer.effect(
  Signals.Signals,
  Effect.map(SqliteClient, ({ read }) =>
    Signals.make({
      ended: (from, to, max) => read(during("ended"), (sql) => sql(ENDED).all(from, to, max).map(jobOf)),
      rated: (by, from, to, max) =>
        read(during("rated"), (sql) => sql(ratedText(by)).all(from, to, max).map(ratingsOf(by))),
      refused: (from, to, max) => read(during("refused"), (sql) => sql(REFUSED).all(from, to, max).map(refusedOf))
    })
  )
)
