/** The order to erase a job whose row has left: what is refused, and orders nothing. What is done stands in `test/journeys/JobRows.test.ts`. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Erasures } from "../../src/layers/Erasures.ts"
import { Namespaces } from "../../src/layers/Namespaces.ts"
import { JobStore } from "../../src/layers/JobStore.ts"
import { aJob, aJobId, aNamespaceId, anAdmission, credits } from "../support/factories.ts"
import { ask, makeWorld, World } from "./World.ts"

const erase = (jobId: string, body: Readonly<Record<string, unknown>>) =>
  Effect.gen(function* () {
    const { control } = yield* World
    const answer = yield* ask(`${control}/control/jobs/${jobId}/erase`, {
      key: null,
      body: { reason: "request 12", ...body }
    })
    return [answer.status, answer.body.error?.code]
  })

it.effect("A job without a row is erased only where it is said whose it was, and nobody is under a hold", () =>
  Effect.gen(function* () {
    const { namespace, other } = yield* World
    const jobId = aJobId()
    assert.deepStrictEqual(yield* erase(jobId, {}), [404, "not_found"])
    assert.deepStrictEqual(yield* erase(jobId, { namespaceId: aNamespaceId() }), [404, "not_found"])
    assert.deepStrictEqual(yield* erase(jobId, { namespaceId: 7 }), [400, "invalid_request"])
    const job = aJob({ namespaceId: namespace.id, reserved: credits(0) })
    yield* (yield* JobStore).admit(anAdmission(job))
    assert.deepStrictEqual(yield* erase(job.id, { namespaceId: other.id }), [404, "not_found"])
    yield* (yield* Namespaces).amend(namespace.id, { ...namespace.rules, held: true })
    assert.deepStrictEqual(yield* erase(jobId, { namespaceId: namespace.id }), [409, "conflict"])
    assert.deepStrictEqual(yield* (yield* Erasures).list(9), [])
  }).pipe(Effect.provide(makeWorld()))
)
