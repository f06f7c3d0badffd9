/** The webhook sweeper over memory stores without the rest of a daemon: a test says when a pass is and what time it is, so days go by in no time. */
import { Clock, Effect, Layer, Redacted, type Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Json } from "effect/Schema"
import * as NoticeLanes from "../../../src/actors/sweep/NoticeLanes.ts"
import * as WebhookSweeper from "../../../src/actors/sweep/WebhookSweeper.ts"
import { Incidents } from "../../../src/layers/Incidents.ts"
import * as MemoryRecords from "../../../src/layers/memory/MemoryRecords.ts"
import * as MemoryRecordsLayers from "../../../src/layers/memory/MemoryRecordsLayers.ts"
import * as MemoryState from "../../../src/layers/memory/MemoryState.ts"
import * as MemoryStateLayers from "../../../src/layers/memory/MemoryStateLayers.ts"
import type { NetworkKey } from "../../../src/layers/NetworkKey.ts"
import { Notices } from "../../../src/layers/Notices.ts"
import * as HttpWebhookSender from "../../../src/layers/outbound/HttpWebhookSender.ts"
import { Webhooks } from "../../../src/layers/Webhooks.ts"
import { WebhookSender } from "../../../src/layers/WebhookSender.ts"
import type { Incident } from "../../../src/schemas/Incident.ts"
import type { Webhook } from "../../../src/schemas/Webhook.ts"
import { anIncident } from "../../support/factories.ts"
import { testKey } from "../../support/networkKey.ts"
import { aSecret, aWebhook } from "../../support/webhookFactories.ts"
import type { WebhookReceiver } from "../../support/WebhookReceiver.ts"

export const START = Date.UTC(2026, 0, 1)
export const toLoopback = HttpWebhookSender.layer({ schemes: ["https", "http"], ranges: ["127.0.0.1"] })

/** Lets the network and everybody else get on until this is so, without any time passing by the test's clock. */
export const reallyUntil = (holds: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (!holds()) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
  })

export interface WebhookHouse {
  readonly state: MemoryState.State
  readonly webhooks: Webhooks["Service"]
  readonly notices: Notices["Service"]
  readonly incidents: Incidents["Service"]
  /** What the sweeper would save. */
  watermark: Json
  batchMax: number
  readonly pass: Effect.Effect<number>
  /** A pass, and all that comes of it by network, but for receivers that do not answer. */
  readonly passAndRest: Effect.Effect<void>
  readonly later: (ms: number) => Effect.Effect<void>
  readonly register: (receiver: WebhookReceiver, path: string, over?: Partial<Webhook>) => Effect.Effect<Webhook>
  readonly raise: (over?: Partial<Incident>) => Effect.Effect<Incident>
  /** The same stores under a new leader that starts from a watermark; its network's key may be another one. */
  readonly heir: (watermark: Json, key?: NetworkKey["Service"]) => Effect.Effect<WebhookHouse, never, Scope.Scope>
}

/** Nothing is due that could be sent. */
const isAtRest = ({ notices, webhooks }: MemoryState.State, now: number) =>
  [...notices.values()].every(
    ({ notice: { webhookId, state, dueAt } }) =>
      state !== "pending" || dueAt > now || webhooks.get(webhookId)?.webhook.disabledAt !== null
  )

interface Stores {
  readonly state: MemoryState.State
  readonly records: MemoryRecords.State
  readonly sender: Layer.Layer<WebhookSender>
}

export const make = (sender: Layer.Layer<WebhookSender> = toLoopback) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(START)
    return yield* over({ state: MemoryState.make(), records: MemoryRecords.make(), sender }, null)
  })

const over = (stores: Stores, watermark: Json, key = testKey): Effect.Effect<WebhookHouse, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { state } = stores
    const [webhooks, notices, incidents] = [yield* Webhooks, yield* Notices, yield* Incidents]
    let inHand = 0
    const sender = yield* WebhookSender
    const counting = WebhookSender.of({
      objection: sender.objection,
      send: (message) =>
        Effect.suspend(() => {
          inHand += 1
          return Effect.ensuring(
            sender.send(message),
            Effect.sync(() => void (inHand -= 1))
          )
        })
    })
    const lanes = yield* NoticeLanes.make({ notices, sender: counting, key })
    const { sweepBatch } = WebhookSweeper.make({ webhooks, notices, incidents, lanes })
    const pass = Effect.gen(function* () {
      const batch = yield* sweepBatch(house.watermark, house.batchMax, false)
      house.watermark = batch.watermark
      return batch.taken
    }).pipe(Effect.orDie)
    const house: WebhookHouse = {
      state,
      webhooks,
      notices,
      incidents,
      watermark,
      batchMax: 500,
      pass,
      passAndRest: Effect.gen(function* () {
        yield* pass
        const now = yield* Clock.currentTimeMillis
        yield* reallyUntil(() => inHand === 0 && isAtRest(state, now))
        // What a lane does after its last report.
        for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
      }),
      later: (ms) => TestClock.adjust(ms),
      register: (receiver, path, over = {}) =>
        Effect.gen(function* () {
          const at = yield* Clock.currentTimeMillis
          const secret = aSecret()
          receiver.secrets.set(path, Redacted.value(secret))
          const webhook = aWebhook({ url: receiver.url(path), createdAt: at, since: at, ...over })
          return yield* Effect.orDie(webhooks.register(webhook, testKey.seal(secret, webhook.id)))
        }),
      raise: (over = {}) =>
        Effect.gen(function* () {
          const incident = anIncident({ severity: "high", at: yield* Clock.currentTimeMillis, ...over })
          yield* Effect.orDie(incidents.raise([incident]))
          return incident
        }),
      heir: (from, other) => over(stores, from, other)
    }
    return house
  }).pipe(
    Effect.provide(
      Layer.mergeAll(MemoryStateLayers.over(stores.state), MemoryRecordsLayers.over(stores.records), stores.sender),
      { local: true }
    ),
    Effect.orDie
  )
