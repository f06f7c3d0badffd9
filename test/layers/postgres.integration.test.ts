/** The contracts of jobs and credits on PostgreSQL, where several daemons live at a time: one line a suite. */
import { Effect, Layer } from "effect"
import { JobStore } from "../../src/layers/JobStore.ts"
import { creditLedgerContract } from "./contracts/CreditLedger.contract.ts"
import { jobStoreContract } from "./contracts/JobStore.contract.ts"
import { jobSurveyContract } from "./contracts/JobSurvey.contract.ts"
import { outboxContract } from "./contracts/Outbox.contract.ts"
import { clientOf, freshSchema, layerOf, withPostgres } from "./postgres/PgSchema.ts"

type Store = JobStore["Service"]

/** Each call by another of two clients, so that what comes at once comes in two batches at once. */
const inTurn = (one: Store, two: Store): Store => {
  let calls = 0
  const next = () => (calls++ % 2 === 0 ? one : two)
  return JobStore.of({
    admit: (admission) => next().admit(admission),
    claim: (claim) => next().claim(claim),
    release: (release) => next().release(release),
    finish: (finish) => next().finish(finish),
    get: (jobId) => next().get(jobId),
    events: (jobId) => next().events(jobId),
    forgetTags: (jobIds) => next().forgetTags(jobIds)
  })
}

withPostgres("the contracts of jobs and credits on PostgreSQL", () => {
  const options = freshSchema("jobs")
  const layer = layerOf(clientOf(options))

  jobStoreContract("PostgreSQL", layer)
  jobSurveyContract("PostgreSQL", layer)
  outboxContract("PostgreSQL", layer)
  creditLedgerContract("PostgreSQL", layer)

  const another = layerOf(clientOf(options))
  const both = Layer.effect(
    JobStore,
    Effect.gen(function* () {
      const one = yield* JobStore.pipe(Effect.provide(layer))
      const two = yield* JobStore.pipe(Effect.provide(another, { local: true }))
      return inTurn(one, two)
    })
  )
  jobStoreContract("PostgreSQL, two clients in turn", Layer.merge(layer, both))
})
