/** Everything that the deciding contracts hold is the same after the daemon ended and another one opened its folder. */
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { describe } from "vitest"
import { ApiKeys, digestOf } from "../../../src/layers/ApiKeys.ts"
import { Audit } from "../../../src/layers/Audit.ts"
import { Catalog } from "../../../src/layers/Catalog.ts"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { Namespaces } from "../../../src/layers/Namespaces.ts"
import { NodeRegistry } from "../../../src/layers/NodeRegistry.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import { Settings } from "../../../src/layers/Settings.ts"
import { SweeperStates } from "../../../src/layers/SweeperStates.ts"
import { KeyId } from "../../../src/schemas/Ids.ts"
import {
  admissionOf,
  AT,
  claimOf,
  DAEMON,
  dataFolder,
  envelopeOf,
  finishOf,
  jobOf,
  NAMESPACE,
  NODE,
  settle,
  store
} from "./StateSamples.ts"

const secret = Redacted.make("rsk-secret")
const [done, active] = [jobOf("done", { constraints: { subcloud: "lab", vramMinMiB: 8_000 } }), jobOf("active")]

const fill = Effect.gen(function* () {
  yield* settle()
  const { admit, claim, finish } = yield* JobStore
  for (const job of [done, active]) yield* admit(admissionOf(job))
  for (const job of [done, active]) yield* claim(claimOf(job))
  yield* finish(finishOf(done))
  const key = { id: KeyId.make("key_one"), namespaceId: NAMESPACE, label: "first", prefix: "rsk-secret" }
  const limits = { ratePerSecond: 5, createdAt: AT, expiresAt: AT + 10, revokedAt: null }
  yield* (yield* ApiKeys).insert({ ...key, ...limits }, digestOf(Redacted.value(secret)))
  const nodes = yield* NodeRegistry
  const machine = { agentVersion: "1", runtime: "vllm", subclouds: ["lab"], gpus: [{ name: "H100", vramMiB: 81_920 }] }
  const models = [{ name: "llama-3.1", endpoints: ["chat"] as const, canContinue: true, loaded: true }]
  const profile = { name: "node", slots: 4, models, ...machine }
  yield* nodes.register({ nodeId: NODE, environment: "testnet", profile, at: AT })
  yield* nodes.setLifecycle(NODE, "active", AT + 1)
  yield* nodes.restrict(NODE, { kind: "paused", reason: "night", by: "owner", since: AT + 1, until: AT + 5 })
  yield* nodes.restrict(NODE, { kind: "frozen", reason: "lies", by: "operator", since: AT + 2, until: null })
  yield* nodes.lift(NODE, "paused", "owner", AT + 3)
  const catalog = yield* Catalog
  const model = { name: "llama-3.1", environment: "testnet" } as const
  yield* catalog.learn([{ ...model, endpoints: ["chat"], firstSeenAt: AT }])
  yield* catalog.learn([{ ...model, endpoints: ["completions", "chat"], firstSeenAt: AT + 9 }])
  const audit = yield* Audit
  const fact = { actor: "operator", action: "freeze", subject: NODE, reason: "lies", at: AT }
  for (const n of [1, 2, 3]) yield* audit.append({ ...fact, detail: { n, text: 'ö "quoted"', none: null } })
  const settings = yield* Settings
  const { settings: rules } = yield* settings.current
  yield* settings.publish({ settings: { ...rules, graceMs: 5_000 }, by: "operator", reason: "slow links", at: AT })
  const sweepers = yield* SweeperStates
  yield* sweepers.lead("retention", DAEMON)
  const pass = { watermark: { until: AT, parts: ["a"] }, swept: 7, error: "an outage", at: AT }
  assert.isTrue(yield* sweepers.save("retention", 1, pass))
  const envelope = envelopeOf("lead", { _tag: "Lead", sweeper: "retention" })
  const target = { _tag: "Sweeper", name: "retention" } as const
  yield* (yield* Outbox).add([{ id: envelope.id, target, envelope, createdAt: AT }])
})

/** What every contract answers. */
const answers = Effect.gen(function* () {
  const { get, events } = yield* JobStore
  const nodes = yield* NodeRegistry
  const ledger = yield* CreditLedger
  const audit = yield* Audit
  const settings = yield* Settings
  return {
    jobs: yield* Effect.forEach([done, active], ({ id }) => get(id)),
    events: yield* Effect.forEach([done, active], ({ id }) => events(id)),
    balance: yield* ledger.balance(NAMESPACE),
    entries: yield* ledger.entries(NAMESPACE, 0, 100),
    outbox: yield* (yield* Outbox).pending(AT + 100, 100),
    namespaces: yield* (yield* Namespaces).list,
    key: yield* (yield* ApiKeys).authenticate(secret, AT),
    nodes: yield* nodes.list(AT + 4),
    restrictions: yield* nodes.history(NODE),
    models: yield* (yield* Catalog).list("testnet"),
    daemons: yield* (yield* Daemons).list,
    audit: yield* audit.list(0, 100),
    broken: yield* audit.verify,
    current: yield* settings.current,
    settings: yield* settings.history(10),
    sweepers: yield* (yield* SweeperStates).list
  }
})

describe("the deciding contracts", () => {
  it.effect("answer as before, when the folder is closed and opened again", () =>
    Effect.gen(function* () {
      const path = join(yield* dataFolder, "data.db")
      const before = yield* Effect.provide(Effect.andThen(fill, answers), store(path))
      const after = yield* Effect.provide(answers, store(path))
      assert.deepStrictEqual(after, before)
      assert.deepStrictEqual(after.jobs[0]?.job, done)
      assert.deepStrictEqual(
        after.jobs.map((row) => [row?.state, row?.owner]),
        [
          ["completed", null],
          ["active", DAEMON]
        ]
      )
      assert.deepStrictEqual(
        after.entries.map(({ kind, amount }): readonly [string, bigint] => [kind, amount]),
        [
          ["grant", 1_000_000n],
          ["reserve", 1_000n],
          ["reserve", 1_000n],
          ["settle", 400n],
          ["refund", 600n]
        ]
      )
      assert.deepStrictEqual(
        after.outbox.map(({ target }) => target._tag),
        ["Lane", "Lane", "Sweeper", "Topic"]
      )
      assert.deepStrictEqual(after.models[0], {
        name: "llama-3.1",
        environment: "testnet",
        endpoints: ["chat", "completions"],
        firstSeenAt: AT
      })
      assert.deepStrictEqual(
        after.nodes[0]?.restrictions.map(({ kind }) => kind),
        ["frozen"]
      )
      assert.deepStrictEqual(
        after.restrictions.map(({ kind, change }) => `${kind} ${change}`),
        ["paused set", "frozen set", "paused lifted"]
      )
      assert.strictEqual(after.current.settings.graceMs, 5_000)
      assert.strictEqual(after.settings.length, 2)
      assert.strictEqual(after.audit.length, 3)
      assert.isNull(after.broken)
      assert.strictEqual(after.key?.keyId, "key_one")
    })
  )

  it.effect("notice in the audit chain, when a row was changed behind their back", () =>
    Effect.gen(function* () {
      const path = join(yield* dataFolder, "data.db")
      yield* Effect.provide(fill, store(path))
      const shell = new DatabaseSync(path)
      shell.exec("DROP TRIGGER audit_keeps; UPDATE audit SET reason = 'other' WHERE seq = 2")
      shell.close()
      const broken = yield* Effect.provide(
        Effect.flatMap(Audit, ({ verify }) => verify),
        store(path)
      )
      assert.strictEqual(broken?.seq, 2)
    })
  )

  it.effect("notice in the ledger, when a balance was changed behind their back", () =>
    Effect.gen(function* () {
      const path = join(yield* dataFolder, "data.db")
      yield* Effect.provide(fill, store(path))
      const shell = new DatabaseSync(path)
      shell.exec("UPDATE credit_balance SET available = available + 5, granted = granted + 5")
      shell.close()
      const [finding] = yield* Effect.provide(
        Effect.flatMap(CreditLedger, ({ audit }) => audit),
        store(path)
      )
      assert.strictEqual(finding?.stored.granted, 1_000_005n)
      assert.strictEqual(finding?.summed.granted, 1_000_000n)
    })
  )
})
