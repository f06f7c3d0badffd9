import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Ids from "../../src/schemas/Ids.ts"

const KINDS = [
  ["job", Ids.JobId, Ids.freshJobId],
  ["ns", Ids.NamespaceId, Ids.freshNamespaceId],
  ["key", Ids.KeyId, Ids.freshKeyId],
  ["daemon", Ids.DaemonId, Ids.freshDaemonId],
  ["session", Ids.SessionId, Ids.freshSessionId],
  ["incident", Ids.IncidentId, Ids.freshIncidentId],
  ["msg", Ids.EnvelopeId, Ids.freshEnvelopeId]
] as const

describe("ids", () => {
  for (const [prefix, schema, fresh] of KINDS) {
    it.effect(`a fresh ${prefix} id is of its kind and of no other`, () =>
      Effect.gen(function* () {
        const id: string = yield* fresh as Effect.Effect<string>
        assert.match(id, new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`))
        assert.isTrue(Schema.is(schema as Schema.Schema<unknown>)(id))
        for (const [other, stranger] of KINDS) {
          if (other !== prefix) assert.isFalse(Schema.is(stranger as Schema.Schema<unknown>)(id), other)
        }
      })
    )
  }

  it.effect.prop(
    "ids sort by the time they were made in",
    { gaps: Schema.Array(Schema.Natural) },
    ({ gaps }) =>
      Effect.gen(function* () {
        // From the clock's own zero, through years, so that every digit of the time is used.
        const ids: Array<string> = []
        for (const gap of gaps) {
          yield* TestClock.adjust((gap + 1) * 7_919_000_007)
          ids.push(yield* Ids.freshJobId)
        }
        assert.deepStrictEqual(ids.toSorted(), ids)
        assert.strictEqual(new Set(ids).size, ids.length)
      }),
    { arbitrary: { runs: 30 } }
  )

  it.effect("ids of one millisecond differ", () =>
    Effect.gen(function* () {
      const ids = yield* Effect.forEach(Array.from({ length: 5_000 }), () => Ids.freshJobId)
      assert.strictEqual(new Set(ids).size, 5_000)
    })
  )

  it.effect("a lease's token follows from its attempt, and no two attempts have one token", () =>
    Effect.gen(function* () {
      const jobs = [
        yield* Ids.freshJobId,
        Ids.JobId.make("job_a"),
        Ids.JobId.make("job_a-1"),
        Ids.JobId.make("job_a-1-1")
      ]
      const tokens = jobs.flatMap((job) => [1, 2, 11, 111].map((attempt) => Ids.leaseTokenOf(job, attempt)))
      assert.strictEqual(new Set(tokens).size, tokens.length)
      for (const token of tokens) assert.isTrue(Schema.is(Ids.LeaseToken)(token), token)
      assert.strictEqual(Ids.leaseTokenOf(jobs[0]!, 3), Ids.leaseTokenOf(jobs[0]!, 3))
      for (const jobId of jobs) {
        for (const attempt of [1, 2, 11, 111]) {
          assert.deepStrictEqual(Ids.attemptOfLease(Ids.leaseTokenOf(jobId, attempt)), { jobId, attempt })
        }
      }
      for (const other of ["lease_a", "lease_a-0", "lease_a-01", "lease_a-"]) {
        assert.isNull(Ids.attemptOfLease(Ids.LeaseToken.make(other)))
      }
    })
  )

  it("a node's id is an address in lower case", () => {
    const isNodeId = Schema.is(Ids.NodeId)
    const address = "0xde0b295669a9fd93d5f28d9ec85e40f4cb697bae"
    assert.isTrue(isNodeId(address))
    for (const wrong of [
      address.toUpperCase(),
      address.slice(2),
      `${address}0`,
      address.slice(0, -1),
      ` ${address}`,
      `${address}\n`
    ])
      assert.isFalse(isNodeId(wrong), wrong)
  })
})
