/** Notices of incidents under a test clock, over real connections to a receiver that verifies them with its own code. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { HELD_MS } from "../../../src/actors/sweep/NoticeLanes.ts"
import { PENDING_MAX, SETTLED_MS } from "../../../src/actors/sweep/WebhookSweeper.ts"
import { Incidents } from "../../../src/layers/Incidents.ts"
import * as MemoryWebhookSender from "../../../src/layers/memory/MemoryWebhookSender.ts"
import { Notices } from "../../../src/layers/Notices.ts"
import { Webhooks } from "../../../src/layers/Webhooks.ts"
import { JITTER, PAUSES_MS } from "../../../src/policies/NoticeRetry.ts"
import { endNoticeIdOf, noticeIdOf } from "../../../src/policies/Notices.ts"
import { anIncident } from "../../support/factories.ts"
import { aSighting } from "../../support/recordFactories.ts"
import { aNotice, aSecret, aWebhook } from "../../support/webhookFactories.ts"
import { silence, status, WebhookReceiver } from "../../support/WebhookReceiver.ts"
import { World } from "../../support/World.ts"
import { make, reallyUntil, START, toLoopback } from "./WebhookHouse.ts"

const HOUR = 3_600_000

describe("a notice", () => {
  it.effect("S82: comes of an episode twice: when it opened, and when it was over, under an id of its own each", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      const { id } = yield* house.register(receiver, "/a")
      yield* house.register(receiver, "/low", { severities: ["low"] })
      yield* house.passAndRest
      const sighting = aSighting({ type: "error_spike", kind: "anomaly", severity: "high", subject: "model/tiny" })
      let episode = anIncident().id
      for (let seconds = 1; seconds <= 3; seconds++) {
        yield* house.later(1000)
        const seen = yield* house.incidents.sight({
          ...sighting,
          at: START + seconds * 1000,
          observed: { failedPercent: 40 }
        })
        episode = seen.id
        yield* house.passAndRest
      }
      yield* house.later(1000)
      yield* house.incidents.close("error_spike", "model/tiny", START + 4000, "recovered")
      yield* house.passAndRest
      for (let count = 0; count < 3; count++) {
        yield* house.later(SETTLED_MS)
        yield* house.passAndRest
      }
      assert.deepStrictEqual(
        receiver.received.map(({ id, body, isGenuine }) => ({ id, type: body.type, isGenuine })),
        [
          { id: noticeIdOf(id, episode), type: "incident.opened", isGenuine: true },
          { id: endNoticeIdOf(id, episode), type: "incident.closed", isGenuine: true }
        ]
      )
      const told = receiver.received[1]?.body
      assert.strictEqual(told?.timestamp, "2026-01-01T00:00:04.000Z")
      assert.deepStrictEqual(told?.data["observed"], { failedPercent: 40 })
      assert.deepStrictEqual(told?.data["episode"], {
        sightings: 3,
        seenAt: START + 3000,
        closedAt: START + 4000,
        closedFor: "recovered"
      })
    })
  )

  it.effect("comes once, genuine, and says what happened", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      const { id } = yield* house.register(receiver, "/a")
      yield* house.passAndRest
      yield* house.later(1000)
      const incident = yield* house.raise({ observed: { status: 400, param: "secret words" } })
      yield* house.passAndRest
      for (let count = 0; count < 5; count++) {
        yield* house.later(SETTLED_MS)
        yield* house.passAndRest
      }
      const [received] = receiver.received
      assert.strictEqual(receiver.received.length, 1)
      assert.deepInclude(received, { isGenuine: true, id: noticeIdOf(id, incident.id), seconds: START / 1000 + 1 })
      const { at: _, ...facts } = incident
      assert.deepStrictEqual(received?.body, {
        type: "incident.opened",
        timestamp: "2026-01-01T00:00:01.000Z",
        data: { ...facts, observed: { status: 400 } }
      })
      assert.deepInclude((yield* house.notices.list(id, 9))[0], {
        state: "delivered",
        attempts: 1,
        incidentId: incident.id
      })
    })
  )

  it.effect("is for webhooks that want it, and for none of what was before", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      yield* house.raise()
      yield* house.later(1)
      yield* house.register(receiver, "/all")
      yield* house.register(receiver, "/high", { severities: ["high"], kinds: ["anomaly"] })
      yield* house.passAndRest
      yield* house.later(10)
      yield* house.raise({ severity: "info", kind: "rejection" })
      yield* house.raise({ severity: "high", kind: "anomaly" })
      yield* house.passAndRest
      assert.deepStrictEqual([receiver.at("/all").length, receiver.at("/high").length], [2, 1])
      assert.isTrue(receiver.received.every(({ isGenuine }) => isGenuine))
      assert.strictEqual(new Set(receiver.received.map(({ id }) => id)).size, 3)
    })
  )

  it.effect("comes once also of an incident that was stored behind what was read already", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      yield* house.register(receiver, "/a")
      yield* house.passAndRest
      const before = START + 60_000
      yield* house.later(240_000)
      yield* house.raise()
      yield* house.passAndRest
      yield* house.raise({ at: before })
      yield* house.passAndRest
      assert.strictEqual(receiver.received.length, 1)
      yield* house.later(SETTLED_MS)
      yield* house.passAndRest
      assert.strictEqual(receiver.received.length, 2)
      yield* house.later(SETTLED_MS)
      yield* house.passAndRest
      assert.strictEqual(receiver.received.length, 2)
    })
  )

  it.effect("comes of each of a flood, in pages, also where all are of one instant", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      yield* house.register(receiver, "/a")
      yield* house.pass
      yield* house.later(1000)
      const at = START + 1000
      house.batchMax = 50
      yield* house.incidents.raise(Array.from({ length: 120 }, () => anIncident({ at })))
      const taken = [yield* house.pass, yield* house.pass, yield* house.pass]
      assert.deepStrictEqual(taken, [50, 50, 20])
      yield* house.passAndRest
      assert.strictEqual(new Set(receiver.received.map(({ id }) => id)).size, 120)
      assert.strictEqual(receiver.received.length, 120)
    })
  )

  it.effect("is not sent again by a leader that begins from an older watermark, and none is left out", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      yield* house.register(receiver, "/a")
      yield* house.passAndRest
      const { watermark } = house
      yield* house.later(1000)
      yield* house.raise()
      yield* house.passAndRest
      yield* house.later(20 * 60_000)
      yield* house.raise()
      const heir = yield* house.heir(JSON.parse(JSON.stringify(watermark)))
      yield* heir.passAndRest
      yield* heir.passAndRest
      assert.strictEqual(receiver.received.length, 2)
      assert.strictEqual(new Set(receiver.received.map(({ id }) => id)).size, 2)
    })
  )
})

describe("a receiver in trouble", () => {
  it.effect("is asked ten times over three days, under one id and with one body, and then its webhook ends", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      const { id } = yield* house.register(receiver, "/bad")
      const other = yield* house.register(receiver, "/good", { kinds: ["warning"], severities: ["high"] })
      receiver.answers.set("/bad", status(500))
      yield* house.passAndRest
      yield* house.later(1)
      yield* house.raise({ kind: "anomaly" })
      yield* house.passAndRest
      for (const [index, pause] of PAUSES_MS.entries()) {
        const [notice] = yield* house.notices.list(id, 1)
        const sent = receiver.at("/bad").at(-1)!.seconds * 1000
        assert.deepInclude(notice, { attempts: index + 1, state: "pending", lastError: "status 500" })
        const waits = notice!.dueAt - sent
        assert.isTrue(waits >= pause && waits <= pause * (1 + JITTER) + 1000, `pause ${index + 1}: ${waits}`)
        yield* house.later(notice!.dueAt - sent)
        yield* house.passAndRest
      }
      const tries = receiver.at("/bad")
      assert.strictEqual(tries.length, 10)
      assert.strictEqual(new Set(tries.map((each) => `${each.id} ${each.text}`)).size, 1)
      assert.strictEqual(new Set(tries.map(({ seconds }) => seconds)).size, 10)
      assert.isTrue(tries.every(({ isGenuine }) => isGenuine))
      const [ended] = yield* house.webhooks.list
      assert.deepInclude(ended, { id, disabledFor: "failing", failures: 10 })
      assert.deepInclude((yield* house.notices.list(id, 1))[0], { state: "failed", attempts: 10 })

      yield* house.passAndRest
      yield* house.passAndRest
      const told = receiver.at("/good").map(({ body }) => body.data)
      assert.strictEqual(told.length, 1)
      assert.deepInclude(told[0], { type: "webhook_disabled", subject: `webhook/${id}`, severity: "high" })
      assert.strictEqual((yield* house.webhooks.list)[1]?.id, other.id)
    })
  )

  it.effect(
    "that is gone gets nothing any more from its first 410 on, and what waits once an operator enables it",
    () =>
      Effect.gen(function* () {
        const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
        const { id } = yield* house.register(receiver, "/a")
        yield* house.pass
        yield* house.later(1)
        receiver.answers.set("/a", status(500))
        yield* house.raise()
        yield* house.passAndRest
        receiver.answers.set("/a", status(410))
        yield* house.raise()
        yield* house.passAndRest
        assert.deepInclude((yield* house.webhooks.list)[0], { disabledFor: "gone", pending: 1 })
        yield* house.later(HOUR)
        yield* house.raise()
        yield* house.passAndRest
        assert.strictEqual(receiver.received.length, 2)

        receiver.answers.delete("/a")
        yield* house.later(1)
        yield* house.webhooks.enable(id, START + HOUR + 2)
        yield* house.passAndRest
        // The one that waited; what happened while it was disabled is not told.
        assert.deepStrictEqual([receiver.received.length, receiver.received[2]?.id], [3, receiver.received[0]?.id])
        assert.deepInclude((yield* house.webhooks.list)[0], { disabledAt: null, pending: 0, failures: 0 })
      })
  )

  it.effect("delays no other: who says nothing is left alone after twenty seconds, and the others hear at once", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      const slow = yield* house.register(receiver, "/slow")
      yield* house.register(receiver, "/swift")
      receiver.answers.set("/slow", silence)
      yield* house.pass
      yield* house.later(1)
      for (let count = 0; count < 9; count++) yield* house.raise()
      yield* house.pass
      yield* reallyUntil(() => receiver.at("/swift").length === 9 && receiver.at("/slow").length === 4)
      yield* house.later(5_000)
      yield* house.raise()
      yield* house.pass
      yield* reallyUntil(() => receiver.at("/swift").length === 10)
      // No second lane, and no more requests at a time than there may be.
      assert.strictEqual(receiver.at("/slow").length, 4)
      yield* house.later(15_000)
      yield* reallyUntil(() => [...house.state.notices.values()].some(({ notice }) => notice.lastError !== null))
      const [standing] = yield* house.webhooks.list
      assert.deepInclude(standing, { id: slow.id, failures: 4, pending: 10 })
      assert.isTrue(
        (yield* house.notices.list(slow.id, 20)).some(({ lastError }) => lastError === "no whole answer within 20 s")
      )
    })
  )

  it.effect("that says when to come again is waited for", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      const { id } = yield* house.register(receiver, "/a")
      receiver.answers.set("/a", status(429, { "retry-after": "3600" }))
      yield* house.pass
      yield* house.later(1)
      yield* house.raise()
      yield* house.passAndRest
      assert.strictEqual((yield* house.notices.list(id, 1))[0]?.dueAt, START + 1 + HOUR)
    })
  )

  it.effect("that is only tested is asked once, and nothing counts", () =>
    Effect.gen(function* () {
      const [house, receiver] = [yield* make(), yield* WebhookReceiver.start]
      const { id } = yield* house.register(receiver, "/a")
      receiver.answers.set("/a", status(500))
      yield* house.notices.plan([aNotice(id, { type: "webhook.test", incidentId: null, createdAt: START })])
      yield* house.passAndRest
      yield* house.later(HOUR)
      yield* house.passAndRest
      assert.strictEqual(receiver.received.length, 1)
      assert.deepInclude((yield* house.notices.list(id, 1))[0], { state: "failed", lastError: "status 500" })
      assert.deepInclude((yield* house.webhooks.list)[0], { failures: 0, pending: 0 })
    })
  )

  it.effect("with more waiting than may wait gets its webhook ended, and that is an incident", () =>
    Effect.gen(function* () {
      const receivers = MemoryWebhookSender.makeState()
      receivers.answer = () => Effect.never
      const house = yield* make(MemoryWebhookSender.over(receivers))
      const webhook = aWebhook({ createdAt: START, since: START })
      yield* house.webhooks.register(webhook, aSecret())
      yield* house.notices.plan(Array.from({ length: PENDING_MAX }, () => aNotice(webhook.id, { createdAt: START })))
      yield* house.pass
      assert.deepInclude((yield* house.webhooks.list)[0], { disabledFor: "overflow", pending: PENDING_MAX })
      yield* house.pass
      const [incident] = yield* house.incidents.list({ _tag: "Operator", by: "test" }, { limit: 9 })
      assert.deepInclude(incident, { type: "webhook_disabled", subject: `webhook/${webhook.id}` })
    })
  )
})

describe("an outage of the incidents' store", () => {
  it.effect("keeps nothing back that is due, and nothing of what happened meanwhile is left out", () =>
    Effect.gen(function* () {
      const receiver = yield* WebhookReceiver.start
      const world = yield* World.make({ sender: toLoopback })
      const daemon = yield* world.daemon()
      yield* world.pass(2000)
      const webhook = aWebhook({ url: receiver.url("/a"), createdAt: START, since: START })
      yield* (yield* daemon.use(Webhooks)).register(webhook, aSecret())
      const { raise } = yield* daemon.use(Incidents)
      yield* raise([anIncident({ at: START + 2500 })])
      daemon.faults.fail("Incidents")
      const test = aNotice(webhook.id, { type: "webhook.test", incidentId: null, createdAt: START + 2000 })
      yield* (yield* daemon.use(Notices)).plan([test])
      yield* world.pass(2000)
      yield* receiver.until(() => receiver.received.length === 1)
      assert.strictEqual(receiver.received[0]?.id, test.id)
      daemon.faults.heal()
      yield* world.pass(2000)
      yield* receiver.until(() => receiver.received.length === 2)
      assert.strictEqual(receiver.received[1]?.body.type, "incident.opened")
    })
  )
})

describe("a change of the leader", () => {
  it.effect("in the middle of a delivery sends it again under the same id, when the time of the first is over", () =>
    Effect.gen(function* () {
      const receiver = yield* WebhookReceiver.start
      const world = yield* World.make({ sender: toLoopback })
      const [first, second] = [yield* world.daemon(), yield* world.daemon()]
      yield* world.pass(2000)
      const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
      receiver.secrets.set("/a", secret)
      receiver.answers.set("/a", silence)
      const since = START
      const { register } = yield* second.use(Webhooks)
      yield* register(aWebhook({ url: receiver.url("/a"), createdAt: since, since }), Redacted.make(secret))
      const { raise } = yield* second.use(Incidents)
      yield* raise([anIncident({ at: START + 3000 })])
      yield* world.pass(2000)
      yield* receiver.until(() => receiver.received.length === 1)
      yield* first.crash
      receiver.answers.delete("/a")
      yield* world.pass(HELD_MS + 5000)
      yield* receiver.until(() => receiver.received.length === 2)
      yield* reallyUntil(() => [...world.shared.state.notices.values()][0]?.notice.state === "delivered")
      const [before, after] = receiver.received
      assert.strictEqual(after?.id, before?.id)
      assert.strictEqual(after?.text, before?.text)
      assert.isTrue(before?.isGenuine && after?.isGenuine && after.seconds > before.seconds)
      yield* world.pass(90_000)
      assert.strictEqual(receiver.received.length, 2)
    })
  )
})
