import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { cutoffs, fateOf, rowsBefore, rowStays, segmentIdOf, stepsOf } from "../../src/policies/Retention.ts"
import { SegmentId } from "../../src/schemas/Archive.ts"
import { defaultRules, NamespaceRules } from "../../src/schemas/Namespace.ts"
import { initialRetention, RetentionSettings, Tier } from "../../src/schemas/Retention.ts"
import { dayOf } from "../../src/schemas/Rollup.ts"
import { jobId, namespaceId } from "./Samples.ts"

const DAY = 86_400_000

const ids = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Natural), { minLength: 1, maxLength: 20 }),
  (numbers) => [...new Set(numbers)].map(jobId)
)

describe("Retention", () => {
  const settings = Schema.decodeUnknownSync(RetentionSettings)(initialRetention)
  const at = (over: Partial<typeof defaultRules>, now = 200 * DAY) =>
    cutoffs(now, { ...defaultRules, ...over }, settings)

  it("S9: without a rule of its own a job leaves by the standard tier, its body first", () => {
    assert.deepStrictEqual(at({}), {
      bodies: 170 * DAY,
      metadata: 110 * DAY,
      logs: 110 * DAY,
      incidents: 110 * DAY,
      ceiling: 20 * DAY
    })
  })

  it("S10: a namespace on a longer tier keeps longer, and a tier that is gone is the standard one", () => {
    assert.deepInclude(at({ retentionTier: "extended" }), { bodies: 20 * DAY, metadata: 20 * DAY })
    assert.deepStrictEqual(at({ retentionTier: "gone" }), at({}))
  })

  const Instant = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40_000 * DAY }))

  it.prop(
    "C97: a row may leave exactly when its day has been over for the days that rows are kept, and settings of before keep it for 90",
    { now: Instant, endedAt: Instant, rowDays: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3_650 })) },
    ({ now, endedAt, rowDays }) => {
      const mayLeave = endedAt < rowsBefore(now, { ...settings, rowDays })
      assert.strictEqual(mayLeave, dayOf(endedAt) + DAY + rowDays * DAY <= now)
      const { rowDays: _, ...older } = initialRetention
      assert.strictEqual(Schema.decodeUnknownSync(RetentionSettings)(older).rowDays, 90)
    }
  )

  it("C77: a row stays while its record may be live, and under a legal hold", () => {
    const stays = (days: number, over: Partial<typeof defaultRules> = {}) =>
      rowStays((200 - days) * DAY, 200 * DAY, { ...defaultRules, ...over }, settings)
    assert.deepStrictEqual([stays(90), stays(91)], [true, false])
    assert.deepStrictEqual(
      [stays(180, { retentionTier: "extended" }), stays(181, { retentionTier: "extended" })],
      [true, false]
    )
    assert.isTrue(stays(1_000, { held: true }))
  })

  it("days of the namespace's own bound body and metadata, and none means at once", () => {
    assert.deepInclude(at({ retentionDays: 3 }), { bodies: 197 * DAY, metadata: 197 * DAY })
    assert.deepInclude(at({ retentionDays: 60 }), { bodies: 170 * DAY, metadata: 140 * DAY })
    assert.deepInclude(at({ retentionDays: 0 }), { bodies: 200 * DAY, metadata: 200 * DAY })
  })

  it("S25: without payloads a body leaves when the result window is over", () => {
    assert.strictEqual(at({ persistPayloads: false }).bodies, 200 * DAY - settings.resultWindowMs)
  })

  it.prop(
    "S86: nothing outlives the ceiling, no body its metadata, no entry goes before its job's metadata",
    {
      rules: Arbitrary.all({
        retentionDays: Arbitrary.schema(NamespaceRules.fields.retentionDays),
        persistPayloads: Arbitrary.schema(Schema.Boolean)
      }),
      tier: Arbitrary.schema(Tier)
    },
    ({ rules, tier }) => {
      const { bodies, metadata, logs, ceiling } = cutoffs(0, rules, { ...settings, tiers: { standard: tier } })
      assert.isAtLeast(bodies, metadata)
      assert.isAtLeast(metadata, logs)
      for (const each of [bodies, metadata, logs]) assert.isAtLeast(each, ceiling)
    }
  )

  it("S86: under a legal hold nothing leaves before the ceiling, and then as held", () => {
    const rules = { ...defaultRules, held: true, persistPayloads: false }
    const cut = cutoffs(200 * DAY, rules, settings)
    for (const step of stepsOf(rules, cut)) {
      assert.deepInclude(step, { before: 20 * DAY, leavesAs: "held" })
    }
  })

  it("S11: without cold storage the rule of the class decides", () => {
    const of = (rule: "archive" | "hold" | "drop") => ({
      ...settings,
      withoutArchive: { ...settings.withoutArchive, bodies: rule }
    })
    assert.deepStrictEqual(fateOf("bodies", true, of("drop")), { _tag: "archive" })
    assert.deepStrictEqual(fateOf("bodies", false, of("drop")), { _tag: "drop" })
    assert.deepStrictEqual(fateOf("bodies", false, of("archive")), { _tag: "wait", warns: true })
    assert.deepStrictEqual(fateOf("bodies", false, of("hold")), { _tag: "wait", warns: false })
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
