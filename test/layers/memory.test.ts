/** The deciding contracts on memory, as a cluster and with one owner as in a data folder: one line a suite. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Daemons } from "../../src/layers/Daemons.ts"
import { JobStore, JobSurvey } from "../../src/layers/JobStore.ts"
import * as MemoryState from "../../src/layers/memory/MemoryState.ts"
import * as MemoryStateLayers from "../../src/layers/memory/MemoryStateLayers.ts"
import { aDaemonId, freshTime, livingDaemon } from "../support/factories.ts"
import { apiKeysContract } from "./contracts/ApiKeys.contract.ts"
import { auditContract } from "./contracts/Audit.contract.ts"
import { catalogContract } from "./contracts/Catalog.contract.ts"
import { creditLedgerContract } from "./contracts/CreditLedger.contract.ts"
import { daemonsContract } from "./contracts/Daemons.contract.ts"
import { jobStoreContract } from "./contracts/JobStore.contract.ts"
import { jobSurveyContract } from "./contracts/JobSurvey.contract.ts"
import { moderationContract } from "./contracts/Moderation.contract.ts"
import { namespacesContract } from "./contracts/Namespaces.contract.ts"
import { nodeRegistryContract } from "./contracts/NodeRegistry.contract.ts"
import { outboxContract } from "./contracts/Outbox.contract.ts"
import { noticesContract } from "./contracts/Notices.contract.ts"
import { settingsContract } from "./contracts/Settings.contract.ts"
import { admitted, claimed, idsOf } from "./contracts/StateProbes.ts"
import { sweeperStatesContract } from "./contracts/SweeperStates.contract.ts"
import { erasuresContract } from "./contracts/Erasures.contract.ts"
import { networkKeysContract } from "./contracts/NetworkKeys.contract.ts"
import { receiptAuditContract } from "./contracts/ReceiptAudit.contract.ts"
import { receiptsContract } from "./contracts/Receipts.contract.ts"
import { webhooksContract } from "./contracts/Webhooks.contract.ts"

const cluster = MemoryState.make({ soleOwner: false })
const memory = MemoryStateLayers.over(cluster)

/** Changes a row behind the contract's back. */
const tamper = (seq: number, reason: string) =>
  Effect.sync(() => {
    const row = cluster.audit[seq - 1]
    if (row !== undefined) cluster.audit[seq - 1] = { ...row, reason }
  })

jobStoreContract("memory", memory)
jobSurveyContract("memory", memory)
outboxContract("memory", memory)
creditLedgerContract("memory", memory)
namespacesContract("memory", memory)
apiKeysContract("memory", memory)
nodeRegistryContract("memory", memory)
catalogContract("memory", memory)
daemonsContract("memory", memory)
auditContract("memory", memory, { tamper })
moderationContract("memory", MemoryStateLayers.over(MemoryState.make()))
settingsContract("memory", memory, { another: MemoryStateLayers.over(cluster) })
sweeperStatesContract("memory", memory)
webhooksContract("memory", memory)
erasuresContract("memory", memory)
noticesContract("memory", memory)
receiptsContract("memory", memory)
networkKeysContract("memory", memory)
receiptAuditContract("memory", memory, {
  tamper: (jobId, seq, code) =>
    Effect.sync(() => {
      const { events } = cluster.jobs.get(jobId)!
      events[seq - 1] = { ...events[seq - 1]!, code }
    })
})

const embedded = MemoryStateLayers.over(MemoryState.make())
jobStoreContract("memory with one owner", embedded, { soleOwner: true })
jobSurveyContract("memory with one owner", embedded, { soleOwner: true })
daemonsContract("memory with one owner", embedded, { soleOwner: true })

it.effect("a memory state that is kept has the jobs of a daemon that died, for the one that comes after it", () =>
  Effect.gen(function* () {
    const kept = MemoryState.make()
    const at = freshTime()
    const active = yield* Effect.gen(function* () {
      return yield* claimed(yield* admitted(), yield* livingDaemon(at))
    }).pipe(Effect.provide(MemoryStateLayers.over(kept), { local: true }))

    yield* Effect.gen(function* () {
      const heir = aDaemonId()
      yield* (yield* Daemons).join(heir, at + 1)
      assert.deepStrictEqual(idsOf(yield* (yield* JobSurvey).orphans(10)), [active.job.id])
      yield* claimed(active, heir, { nodeId: null, crashed: true })
      const { owner, epoch, crashes } = (yield* (yield* JobStore).get(active.job.id))!
      assert.deepStrictEqual({ owner, epoch, crashes }, { owner: heir, epoch: 2, crashes: 1 })
    }).pipe(Effect.provide(MemoryStateLayers.over(kept), { local: true }))
  })
)

it.effect("a memory state begins empty, each time the layer is built anew", () =>
  Effect.gen(function* () {
    const depth = Effect.map(
      Effect.flatMap(Daemons, (daemons) => daemons.list),
      (rows) => rows.length
    )
    const life = Effect.andThen(livingDaemon(freshTime()), depth).pipe(
      Effect.provide(MemoryStateLayers.layer, { local: true })
    )
    assert.deepStrictEqual([yield* life, yield* life], [1, 1])
  })
)
