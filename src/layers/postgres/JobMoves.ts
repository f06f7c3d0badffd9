/**
 * The guarded moves of jobs between the contract and their functions. A guard that does not hold is an answer; a move that no caller may ask for (an
 * illegal one, a charge above the reservation) is that caller's defect and nobody else's.
 */
import * as Exit from "effect/Exit"
import type { JobId } from "../../schemas/Ids.ts"
import type { Claim, Claimed, Finish, Guarded, Release } from "../JobStore.ts"
import { type BatchedMethod, placed, roundsOf } from "./PgBatch.ts"
import { rowOf, type StoredJob } from "./PgJobRows.ts"
import { amounts, flags, integers, texts, wholes } from "./PgValues.ts"

interface Told<Verdict> extends StoredJob {
  readonly place: number
  readonly verdict: Verdict
}

type ClaimVerdict = "moved" | "unknown" | "ended" | "owned" | "dead" | "epoch"
type GuardedVerdict = "moved" | "repeated" | "stale" | "overcharge" | "illegal"

const during = (method: string) => ({ of: "JobStore", method })

/** What every move is about, and in which round. */
const aims = (calls: ReadonlyArray<{ readonly jobId: JobId }>) => {
  const ids = calls.map(({ jobId }) => jobId)
  return [integers(roundsOf(ids)), texts(ids)]
}

export const claim: BatchedMethod<Claim, Told<ClaimVerdict>, Claimed, never> = {
  during: during("claim"),
  text: "SELECT * FROM claim_jobs($1, $2, $3, $4, $5, $6, $7, $8, $9)",
  parameters: (calls) => [
    ...aims(calls),
    texts(calls.map(({ daemonId }) => daemonId)),
    texts(calls.map(({ nodeId }) => nodeId)),
    integers(calls.map(({ epochSeen }) => epochSeen)),
    integers(calls.map(({ failures }) => failures)),
    texts(calls.map(({ from }) => from)),
    flags(calls.map(({ crashed }) => crashed)),
    wholes(calls.map(({ at }) => at))
  ],
  outcomes: (calls, rows) => {
    const told = placed(rows, calls.length)
    return calls.map(({ jobId }, index) => claimedOf(jobId, told[index]))
  }
}

const claimedOf = (jobId: JobId, told: Told<ClaimVerdict> | undefined): Exit.Exit<Claimed> => {
  if (told === undefined) return Exit.die(new Error(`the claim of ${jobId} was told nothing`))
  switch (told.verdict) {
    case "moved":
      return Exit.succeed({ _tag: "Claimed", row: rowOf(told) })
    case "unknown":
      return Exit.succeed({ _tag: "Refused", why: "unknown", row: null })
    default:
      return Exit.succeed({ _tag: "Refused", why: told.verdict, row: rowOf(told) })
  }
}

export const release: BatchedMethod<Release, Told<GuardedVerdict>, Guarded, never> = {
  during: during("release"),
  text: "SELECT * FROM release_jobs($1, $2, $3, $4, $5, $6, $7, $8, $9)",
  parameters: (calls) => [
    ...aims(calls),
    texts(calls.map(({ daemonId }) => daemonId)),
    integers(calls.map(({ epoch }) => epoch)),
    wholes(calls.map(({ runAt }) => runAt)),
    texts(calls.map(({ code }) => code)),
    texts(calls.map(({ envelope }) => envelope.id)),
    texts(calls.map(({ envelope }) => JSON.stringify(envelope))),
    wholes(calls.map(({ at }) => at))
  ],
  outcomes: (calls, rows) => {
    const told = placed(rows, calls.length)
    return calls.map(({ jobId }, index) => guardedOf(jobId, told[index]))
  }
}

export const finish: BatchedMethod<Finish, Told<GuardedVerdict>, Guarded, never> = {
  during: during("finish"),
  text: "SELECT * FROM finish_jobs($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
  parameters: (calls) => [
    ...aims(calls),
    texts(calls.map(({ daemonId }) => daemonId)),
    integers(calls.map(({ epoch }) => epoch)),
    texts(calls.map(({ state }) => state)),
    amounts(calls.map(({ charge }) => charge)),
    wholes(calls.map(({ usage }) => usage.promptTokens)),
    wholes(calls.map(({ usage }) => usage.outputTokens)),
    texts(calls.map(({ nodeId }) => nodeId)),
    texts(calls.map(({ code }) => code)),
    texts(calls.map(({ envelope }) => envelope.id)),
    texts(calls.map(({ envelope }) => JSON.stringify(envelope))),
    wholes(calls.map(({ at }) => at))
  ],
  outcomes: (calls, rows) => {
    const told = placed(rows, calls.length)
    return calls.map(({ jobId, state, charge }, index) => {
      const answer = told[index]
      switch (answer?.verdict) {
        case "overcharge":
          return Exit.die(new Error(`the charge ${charge} for ${jobId} is above its reservation`))
        case "illegal":
          return Exit.die(new Error(`${jobId} cannot go from ${answer.state} to ${state}`))
        default:
          return guardedOf(jobId, answer)
      }
    })
  }
}

const guardedOf = (jobId: JobId, told: Told<GuardedVerdict> | undefined): Exit.Exit<Guarded> => {
  switch (told?.verdict) {
    case "moved":
      return Exit.succeed({ _tag: "Done", row: rowOf(told) })
    case "repeated":
      return Exit.succeed({ _tag: "Repeated", row: rowOf(told) })
    case "stale":
      // All columns are null when there is no such job.
      return Exit.succeed({ _tag: "Stale", row: (told.facts as string | null) === null ? null : rowOf(told) })
    default:
      return Exit.die(new Error(`the move of ${jobId} was told ${told?.verdict ?? "nothing"}`))
  }
}
