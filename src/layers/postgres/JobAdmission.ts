/** The admission of many jobs between the contract and `admit_jobs`: what goes into its arrays, and what its verdicts mean to each caller. */
import * as Exit from "effect/Exit"
import { type Credits, toDecimal } from "../../schemas/Credits.ts"
import { laneOf } from "../../schemas/Job.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import { type Admission, type Admitted, queuedRow } from "../JobStore.ts"
import { encodeJob } from "../JobText.ts"
import { type BatchedMethod, placed } from "./PgBatch.ts"
import { encodeLane, rowOf, type StoredJob } from "./PgJobRows.ts"
import { amounts, flags, integers, texts, wholes } from "./PgValues.ts"

interface Told extends StoredJob {
  readonly place: number
  readonly verdict: "created" | "known" | "mismatch" | "nobody" | "overloaded" | "insufficient"
  readonly open_jobs: number
  readonly available: Credits
}

/** Which items name a job or a key that an item before them names: only those are compared with what the batch itself has made. */
const repeatsOf = (admissions: ReadonlyArray<Admission>): ReadonlyArray<boolean> => {
  const seen = new Set<string>()
  const isNew = (name: string) => seen.size < seen.add(name).size
  return admissions.map(({ job, idempotency }) => {
    const newId = isNew(job.id)
    const newKey = idempotency === null || isNew(`${job.namespaceId} ${idempotency.key}`)
    return !(newId && newKey)
  })
}

export const admit: BatchedMethod<Admission, Told, Admitted, Refusal> = {
  during: { of: "JobStore", method: "admit" },
  text: "SELECT * FROM admit_jobs($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
  parameters: (admissions) => {
    const jobs = admissions.map(({ job }) => job)
    const keys = admissions.map(({ idempotency }) => idempotency)
    return [
      texts(jobs.map(({ id }) => id)),
      texts(jobs.map(({ namespaceId }) => namespaceId)),
      texts(jobs.map(encodeJob)),
      texts(jobs.map((job) => encodeLane(laneOf(job)))),
      amounts(jobs.map(({ reserved }) => reserved)),
      wholes(jobs.map(({ acceptedAt }) => acceptedAt)),
      wholes(jobs.map(({ deadlineAt }) => deadlineAt)),
      texts(admissions.map(({ envelope }) => envelope.id)),
      texts(admissions.map(({ envelope }) => JSON.stringify(envelope))),
      texts(keys.map((key) => key?.key ?? null)),
      texts(keys.map((key) => key?.bodyHash ?? null)),
      wholes(keys.map((key) => key?.expiresAt ?? null)),
      integers(admissions.map(({ openJobsMax }) => Math.min(openJobsMax, OPEN_JOBS_MAX))),
      flags(repeatsOf(admissions))
    ]
  },
  outcomes: (admissions, rows) => {
    const told = placed(rows, admissions.length)
    return admissions.map((admission, index) => outcomeOf(admission, told[index]))
  }
}

/** What a 32-bit column counts. */
const OPEN_JOBS_MAX = 2 ** 31 - 1

const outcomeOf = (admission: Admission, told: Told | undefined): Exit.Exit<Admitted, Refusal> => {
  const { job, openJobsMax } = admission
  switch (told?.verdict) {
    case "created":
      return Exit.succeed({ row: queuedRow(job), created: true })
    case "known":
      return Exit.succeed({ row: rowOf(told), created: false })
    case "mismatch":
      return Exit.fail(
        refuse(
          "idempotency_mismatch",
          "This idempotency key was used with another request body. Use a new key for a new request."
        )
      )
    case "nobody":
      return Exit.fail(refuse("not_found", "There is no such namespace."))
    case "overloaded":
      return Exit.fail(
        refuse(
          "overloaded",
          `The namespace has ${told.open_jobs} unfinished jobs and may have ${openJobsMax}. Wait until some of them end.`
        )
      )
    case "insufficient":
      return Exit.fail(
        refuse(
          "insufficient_credits",
          `The request needs ${toDecimal(job.reserved)} credits and ${toDecimal(told.available)} are available. ` +
            "Ask for fewer output tokens, or add credits."
        )
      )
    default:
      return Exit.die(new Error(`the admission of ${job.id} was told nothing`))
  }
}
