import { assert, describe, it } from "@effect/vitest"
import { isInUse, leaseStanding } from "../../src/policies/LeaseStanding.ts"
import { JobId, leaseTokenOf, LeaseToken, NodeId } from "../../src/schemas/Ids.ts"
import type { JobRow } from "../../src/schemas/JobState.ts"

const HERE = NodeId.make(`0x${"a".repeat(40)}`)
const ELSEWHERE = NodeId.make(`0x${"b".repeat(40)}`)
const row = (state: JobRow["state"], attempt: number, nodeId: NodeId | null): JobRow =>
  ({ state, attempt, nodeId }) as JobRow

describe("a lease", () => {
  it("is live only for the attempt under way, on its node", () => {
    assert.strictEqual(leaseStanding(row("active", 2, HERE), HERE, 2), "live")
    assert.strictEqual(
      leaseStanding(row("active", 2, ELSEWHERE), HERE, 2),
      "over",
      "that attempt was claimed elsewhere"
    )
    assert.strictEqual(leaseStanding(row("queued", 2, HERE), HERE, 2), "over", "that attempt was handed back")
  })

  it("is over for good once a later attempt was claimed, or the job has ended or is unknown", () => {
    assert.strictEqual(leaseStanding(row("active", 3, HERE), HERE, 2), "over")
    assert.strictEqual(leaseStanding(row("queued", 3, null), HERE, 2), "over")
    for (const state of ["completed", "failed", "timed_out", "expired", "cancelled"] as const) {
      for (const attempt of [1, 2, 3]) assert.strictEqual(leaseStanding(row(state, 2, HERE), HERE, attempt), "over")
    }
    assert.strictEqual(leaseStanding(null, HERE, 1), "over")
  })

  it("is open while its attempt may yet be claimed", () => {
    assert.strictEqual(leaseStanding(row("queued", 0, null), HERE, 1), "open")
    assert.strictEqual(leaseStanding(row("active", 1, ELSEWHERE), HERE, 2), "open")
    assert.strictEqual(leaseStanding(row("active", 1, HERE), HERE, 2), "open")
  })

  it("is in use under the attempt that the row names, on its node", () => {
    const lease = leaseTokenOf(JobId.make("job_a"), 2)
    assert.isTrue(isInUse(row("active", 2, HERE), HERE, lease))
    assert.isFalse(isInUse(row("active", 1, HERE), HERE, lease))
    assert.isFalse(isInUse(row("active", 2, HERE), HERE, LeaseToken.make("lease_other")))
    assert.isFalse(isInUse(null, HERE, lease))
  })
})
