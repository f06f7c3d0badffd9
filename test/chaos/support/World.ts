/** What outlives every daemon of a run: the stores, the broker, the live state, with the settings and the namespaces that its work needs. */
import { Context, Effect, Layer, Scope } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import * as MemoryBroker from "../../../src/layers/memory/MemoryBroker.ts"
import * as MemoryLive from "../../../src/layers/memory/MemoryLive.ts"
import * as MemoryRecords from "../../../src/layers/memory/MemoryRecords.ts"
import * as MemoryRelay from "../../../src/layers/memory/MemoryRelay.ts"
import * as MemoryState from "../../../src/layers/memory/MemoryState.ts"
import { Namespaces } from "../../../src/layers/Namespaces.ts"
import { Settings } from "../../../src/layers/Settings.ts"
import { Transport } from "../../../src/layers/Transport.ts"
import { KeyId, NamespaceId } from "../../../src/schemas/Ids.ts"
import { type Caller, defaultRules } from "../../../src/schemas/Namespace.ts"
import { aNamespace, credits } from "../../support/factories.ts"
import { HEARTBEAT_MS } from "./ChaosAgent.ts"
import { storesOver, type Shared } from "./ChaosDaemon.ts"
import type { Plan } from "./Plan.ts"

export interface World {
  readonly shared: Shared
  /** Who submits: one namespace with more than enough, and one that runs out. */
  readonly callers: ReadonlyArray<Caller>
  /** Messages that wait in lanes or are held by a daemon. A lane without a consumer holds what nobody waits for, and expires. */
  readonly inLanes: () => number
}

const CREDITS = [10_000_000, 700]
/** Body and rest of a job at once: a line of the archive is all that there was. */
const LEAVES_WHOLE = { ...defaultRules, retentionDays: 30 }

export const makeWorld = (plan: Plan, scope: Scope.Scope, now: number) =>
  Effect.gen(function* () {
    const shared: Shared = {
      state: MemoryState.make({ soleOwner: false }),
      records: MemoryRecords.make(),
      live: yield* Scope.provide(MemoryLive.make(), scope),
      broker: yield* MemoryBroker.make(),
      relay: MemoryRelay.make()
    }
    const stores = yield* Layer.buildWithMemoMap(storesOver(shared, "setup"), Layer.makeMemoMapUnsafe(), scope)
    const settings = Context.get(stores, Settings)
    const { settings: before } = yield* settings.current
    yield* settings.publish({
      settings: { ...before, ...rulesOf(plan) },
      by: "test",
      reason: "test",
      at: now
    })
    const callers: Array<Caller> = []
    for (const [at, amount] of CREDITS.entries()) {
      const id = NamespaceId.make(`ns_chaos${at}`)
      const namespace = yield* Context.get(stores, Namespaces).create(
        aNamespace({ id, name: `chaos ${at}`, rules: LEAVES_WHOLE })
      )
      const grant = { namespaceId: id, amount: credits(amount), reference: "first", at: now }
      yield* Context.get(stores, CreditLedger).grant(grant)
      callers.push({ namespace, keyId: KeyId.make(`key_chaos${at}`) })
    }
    const { depths } = Context.get(stores, Transport)
    const inLanes = () => {
      const found = Effect.runSyncExit(depths)
      const all = found._tag === "Success" ? found.value : []
      const heard = all.filter(({ consumers }) => consumers > 0)
      return heard.reduce((sum, { ready, unacknowledged }) => sum + ready + (unacknowledged ?? 0), 0)
    }
    return { shared, callers, inLanes } satisfies World
  })

const rulesOf = ({ graceMs, laneMax, crashesMax }: Plan) => ({
  graceMs,
  laneMax,
  crashesMax,
  acceptMs: 1500,
  idleMs: 3000,
  executionMs: 15_000,
  backoffMs: 100,
  backoffMaxMs: 2000,
  heartbeatMs: HEARTBEAT_MS,
  presenceMs: 3500,
  cooldownFaults: 2,
  cooldownMs: 2000,
  cooldownMaxMs: 5000
})
