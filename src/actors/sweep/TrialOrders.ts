/**
 * How a trial asks: as some customer asked for this model lately. Where no customer did there is nobody to look like, and it asks in a plain way.
 */
import * as Effect from "effect/Effect"
import type { JobSummary } from "../../layers/JobSearch.ts"
import { fits, plainShape, roomier, shapedLike } from "../../policies/TrialShape.ts"
import { isSystemNamespace } from "../../schemas/Namespace.ts"
import type { EvaluationPrompt, EvaluationSet, Trial } from "../../schemas/Quality.ts"
import { shuffled } from "./Chance.ts"
import { SCOPE, type TrialHouse } from "./TrialHouse.ts"

/** How old a customer's request may be. */
const LATELY_MS = 7 * 86_400_000
/** Looked at: the newest jobs of all, and when these are trials alone, some of this many namespaces. */
const NEWEST_MAX = 200
const NAMESPACES_MAX = 50
const EACH_MAX = 5
/** Requests that are tried on. */
const TRIED_MAX = 10

type Order = NonNullable<Trial["order"]>

export const orderOf = (house: TrialHouse, set: EvaluationSet, prompt: EvaluationPrompt, model: string, now: number) =>
  Effect.gen(function* () {
    const { endpoint } = set
    let tight: Order | null = null
    for (const job of (yield* shuffled(yield* customersJobs(house, model, endpoint, now))).slice(0, TRIED_MAX)) {
      const order = yield* orderLike(house, job, endpoint, prompt)
      if (order !== null && fits(order.request, prompt)) return order
      tight ??= order
    }
    // Better a bound that is unlike the customer's than fields that nobody sends.
    if (tight !== null) return { ...tight, request: roomier(tight.request ?? {}, prompt) }
    return { mode: "sync", deadlineMs: null, request: plainShape(endpoint, prompt) } satisfies Order
  })

/** Trials may be so many that they hide the customers' jobs among the newest. */
const customersJobs = (
  { search, namespaces }: TrialHouse,
  model: string,
  endpoint: EvaluationSet["endpoint"],
  now: number
) =>
  Effect.gen(function* () {
    const filter = { model, endpoint, from: now - LATELY_MS }
    const newest = yield* search.search(SCOPE, filter, null, NEWEST_MAX)
    const theirs = newest.filter(({ namespaceId }) => !isSystemNamespace(namespaceId))
    if (theirs.length > 0 || newest.length < NEWEST_MAX) return theirs
    const customers = (yield* namespaces.list).filter(({ id }) => !isSystemNamespace(id))
    for (const { id: namespaceId } of (yield* shuffled(customers)).slice(0, NAMESPACES_MAX)) {
      const found = yield* search.search({ _tag: "Namespace", namespaceId }, filter, null, EACH_MAX)
      if (found.length > 0) return found
    }
    return []
  })

/** null: its record is gone, or it is not of this kind. */
const orderLike = (
  { records, store }: TrialHouse,
  { jobId }: JobSummary,
  endpoint: EvaluationSet["endpoint"],
  prompt: EvaluationPrompt
) =>
  Effect.gen(function* () {
    const row = yield* store.get(jobId)
    const record = row === null ? null : yield* records.get(SCOPE, jobId)
    const request = record === null ? null : shapedLike(record.input.request, endpoint, prompt)
    if (row === null || request === null) return null
    const { mode, deadlineAt, acceptedAt } = row.job
    return { mode, deadlineMs: deadlineAt - acceptedAt, request } satisfies Order
  })
