/**
 * Jobs in the embedded database. Each method is one item of the group commit: the row, its event, the credit entries and the outbox row are
 * one savepoint, and the caller hears of it when all of them are on the disk.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { JobStore, make } from "../JobStore.ts"
import { admit } from "./JobAdmission.ts"
import { claim, finish, release } from "./JobMoves.ts"
import { eventsOf, findRow, forgetTags } from "./JobRows.ts"
import { SqliteClient } from "./SqliteClient.ts"

const during = (method: string) => ({ of: "JobStore", method })

export const layer: Layer.Layer<JobStore, never, SqliteClient> = Layer.effect(
  JobStore,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      admit: (admission) => write(during("admit"), (sql) => admit(sql, admission)),
      claim: (asked) => write(during("claim"), (sql) => claim(sql, asked)),
      release: (asked) => write(during("release"), (sql) => release(sql, asked)),
      finish: (asked) => write(during("finish"), (sql) => finish(sql, asked)),
      get: (jobId) => read(during("get"), (sql) => findRow(sql, jobId)?.row ?? null),
      forgetTags: (jobIds) => write(during("forgetTags"), (sql) => Result.succeed(forgetTags(sql, jobIds))),
      events: (jobId) => read(during("events"), (sql) => eventsOf(sql, jobId))
    })
  })
)
