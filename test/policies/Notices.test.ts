/** What is told of an incident and to whom: ids that follow from what they name, and a body in which no customer's text can stand. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { bodyOf, noticeIdOf, projectionOf, wants } from "../../src/policies/Notices.ts"
import { IncidentId } from "../../src/schemas/Ids.ts"
import { anIncident } from "../support/factories.ts"
import { aWebhook, aWebhookId } from "../support/webhookFactories.ts"

const CANARY = "canary"
/** Any JSON with customers' words in it, also as names, also under names of our own. */
const Leaf = Schema.Union([Schema.Finite, Schema.Boolean, Schema.Null, Schema.Literals([CANARY, `${CANARY} two, é`])])
const Name = Schema.Literals(["param", "model", "code2", "text", `x ${CANARY}`, "deep"])
const Level = (inner: Schema.Codec<Schema.Json>) =>
  Schema.Union([Leaf, Schema.Array(inner), Schema.Record(Name, inner)])
const Observed = Level(Level(Level(Leaf as never) as never) as never) as unknown as Schema.Codec<Schema.Json>

describe("a notice", () => {
  it("has an id of its incident and webhook: the same again, and another for any other", () => {
    const [a, b] = [aWebhookId(), aWebhookId()]
    const [one, two] = [IncidentId.make("incident_1"), IncidentId.make("incident_2")]
    assert.strictEqual(noticeIdOf(a, one), noticeIdOf(a, one))
    assert.strictEqual(
      new Set([noticeIdOf(a, one), noticeIdOf(a, two), noticeIdOf(b, one), noticeIdOf(b, two)]).size,
      4
    )
    assert.match(noticeIdOf(a, one), /^notice_[0-9a-f]{32}$/)
  })

  it("is for webhooks that want its kind and severity, are enabled and were there when it happened", () => {
    const webhook = aWebhook({ kinds: ["anomaly"], severities: ["high"], since: 10 })
    const incident = anIncident({ kind: "anomaly", severity: "high", at: 10 })
    assert.isTrue(wants(webhook, incident))
    assert.isFalse(wants(webhook, { ...incident, kind: "warning" }))
    assert.isFalse(wants(webhook, { ...incident, severity: "medium" }))
    assert.isFalse(wants(webhook, { ...incident, at: 9 }))
    assert.isFalse(wants({ ...webhook, disabledAt: 11, disabledFor: "operator" }, incident))
  })

  it("tells the facts, the figures and our own words, and leaves out any other text", () => {
    const incident = anIncident({
      observed: {
        status: 400,
        param: "messages.0.content",
        code: "test_failed",
        model: "a model",
        sizes: [1, "x", true]
      },
      expected: { why: "is cut off after 3 lines", code: "Not Ours!" }
    })
    const { observed: _, expected: __, at: ___, ...facts } = incident
    assert.deepStrictEqual(JSON.parse(bodyOf("incident.opened", "2026-01-01T00:00:00.000Z", projectionOf(incident))), {
      type: "incident.opened",
      timestamp: "2026-01-01T00:00:00.000Z",
      data: {
        ...facts,
        observed: { status: 400, code: "test_failed", sizes: [1, true] },
        expected: { why: "is cut off after 3 lines" }
      }
    })
  })

  it.effect.prop(
    "never holds a text that was observed, however deep and under whatever name it stands",
    { observed: Arbitrary.schema(Observed), expected: Arbitrary.schema(Observed) },
    (values) =>
      Effect.sync(() => {
        const told = bodyOf("incident.opened", "", projectionOf(anIncident(values)))
        assert.notInclude(told, CANARY)
      })
  )

  it("stays small, however much was observed", () => {
    const observed = Array.from({ length: 1000 }, () => Array.from({ length: 1000 }, () => 1))
    assert.isBelow(bodyOf("incident.opened", "", projectionOf(anIncident({ observed }))).length, 20_000)
  })
})
