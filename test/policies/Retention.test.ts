import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { finishedBefore, segmentIdOf } from "../../src/policies/Retention.ts"
import { SegmentId } from "../../src/schemas/Archive.ts"
import { jobId, namespaceId } from "./Samples.ts"

const ids = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Natural), { minLength: 1, maxLength: 20 }),
  (numbers) => [...new Set(numbers)].map(jobId)
)

describe("Retention", () => {
  it("jobs may leave, when they ended before the days that are kept", () => {
    assert.strictEqual(finishedBefore(30 * 86_400_000 + 5, { retentionDays: 30 }), 5)
    assert.strictEqual(finishedBefore(1_000, { retentionDays: 0 }), 1_000)
  })

  it("a segment's id is the one that was written before", () => {
    assert.strictEqual(segmentIdOf(namespaceId("a"), [jobId(1), jobId(2)]), "seg_807fd64f92c4ee0ea2165bda2567bd5f")
  })

  it.prop("a segment's id is valid and follows from the jobs in it, in any order", { ids }, ({ ids }) => {
    const id = segmentIdOf(namespaceId("a"), ids)
    assert.isTrue(Schema.is(SegmentId)(id))
    assert.strictEqual(segmentIdOf(namespaceId("a"), ids.toReversed()), id)
  })

  it.prop("a segment's id differs, when a job or the namespace differs", { ids }, ({ ids }) => {
    const id = segmentIdOf(namespaceId("a"), ids)
    const others = [segmentIdOf(namespaceId("b"), ids), segmentIdOf(namespaceId("a"), [...ids, jobId(-1)])]
    if (ids.length > 1) others.push(segmentIdOf(namespaceId("a"), ids.slice(1)))
    assert.strictEqual(new Set([id, ...others]).size, others.length + 1)
  })

  it("a segment is never empty", () => {
    assert.throws(() => segmentIdOf(namespaceId("a"), []), /at least one job/)
  })
})
