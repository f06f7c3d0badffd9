/** Settings that were stored before a rule was known are still settings: the rule has its default, and a rule that is half there keeps what it has. */
import { assert, it } from "@effect/vitest"
import { Schema } from "effect"
import { defaultDetectors } from "../../src/schemas/DetectorRules.ts"
import { initialSettings, RuntimeSettings } from "../../src/schemas/RuntimeSettings.ts"

const codec = Schema.fromJsonString(Schema.toCodecJson(RuntimeSettings))
const decode = Schema.decodeUnknownSync(codec)
const encode = Schema.encodeSync(codec)

it("Settings of an older version decode with the defaults of what they do not know, and are whole when stored again", () => {
  assert.notProperty(initialSettings, "detectors")
  const settings = decode(JSON.stringify(initialSettings))
  assert.strictEqual(settings.slowJobMs, 120_000)
  assert.deepStrictEqual(settings.detectors, defaultDetectors)
  const stored = JSON.parse(encode(settings)) as { detectors: { abuse: object } }
  assert.deepStrictEqual(stored.detectors.abuse, { rejectionsMax: 500, throttlePerSecond: null })
  assert.deepStrictEqual(decode(JSON.stringify(stored)), settings)
})

it("A rule of a detector that is set alone leaves the others as they are; one that is none is refused", () => {
  const detectors = { abuse: { rejectionsMax: 3 }, sla: { targets: { "node/*": { totalMs: 5 } } } }
  const settings = decode(JSON.stringify({ ...initialSettings, detectors }))
  assert.deepStrictEqual(settings.detectors.abuse, { rejectionsMax: 3, throttlePerSecond: null })
  assert.deepStrictEqual(settings.detectors.errorSpike, defaultDetectors.errorSpike)
  assert.deepStrictEqual(settings.detectors.sla.targets["node/*"], { totalMs: 5, percentile: 95, restrict: "none" })
  for (const wrong of [{ windowMs: 1 }, { lying: { restrict: "shot" } }, { sla: { targets: { everything: {} } } }]) {
    // As a change of an operator is read.
    const strictly = Schema.decodeUnknownSync(codec, { onExcessProperty: "error" })
    assert.throws(() => strictly(JSON.stringify({ ...initialSettings, detectors: wrong })))
  }
})
