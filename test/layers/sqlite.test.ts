/** The deciding contracts on SQLite, in a file and in memory: one line a suite. A data folder has one owner, and so has a store in memory. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll } from "vitest"
import * as SqliteClient from "../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteSettings from "../../src/layers/sqlite/SqliteSettings.ts"
import * as SqliteState from "../../src/layers/sqlite/SqliteState.ts"
import { apiKeysContract } from "./contracts/ApiKeys.contract.ts"
import { auditContract } from "./contracts/Audit.contract.ts"
import { catalogContract } from "./contracts/Catalog.contract.ts"
import { creditLedgerContract } from "./contracts/CreditLedger.contract.ts"
import { daemonsContract } from "./contracts/Daemons.contract.ts"
import { jobStoreContract } from "./contracts/JobStore.contract.ts"
import { jobSurveyContract } from "./contracts/JobSurvey.contract.ts"
import { namespacesContract } from "./contracts/Namespaces.contract.ts"
import { nodeRegistryContract } from "./contracts/NodeRegistry.contract.ts"
import { outboxContract } from "./contracts/Outbox.contract.ts"
import { noticesContract } from "./contracts/Notices.contract.ts"
import { settingsContract } from "./contracts/Settings.contract.ts"
import { sweeperStatesContract } from "./contracts/SweeperStates.contract.ts"
import { erasuresContract } from "./contracts/Erasures.contract.ts"
import { networkKeysContract } from "./contracts/NetworkKeys.contract.ts"
import { receiptAuditContract } from "./contracts/ReceiptAudit.contract.ts"
import { receiptsContract } from "./contracts/Receipts.contract.ts"
import { webhooksContract } from "./contracts/Webhooks.contract.ts"

const folder = mkdtempSync(join(tmpdir(), "resultity-sqlite-"))
const file = join(folder, "data.db")
// Hooks run last to first, so the store closes before its folder goes.
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Changes a row of the file behind the contract's back, past the trigger that forbids it. */
const tamper = (seq: number, reason: string) =>
  Effect.sync(() => {
    const shell = new DatabaseSync(file)
    const trigger = shell.prepare("SELECT sql FROM sqlite_schema WHERE name = 'audit_keeps'").get()?.["sql"]
    shell.exec("DROP TRIGGER audit_keeps")
    shell.prepare("UPDATE audit SET reason = ? WHERE seq = ?").run(reason, seq)
    shell.exec(String(trigger))
    shell.close()
  })

const tamperEvent = (jobId: string, seq: number, code: string) =>
  Effect.sync(() => {
    const shell = new DatabaseSync(file)
    const trigger = shell.prepare("SELECT sql FROM sqlite_schema WHERE name = 'job_event_keeps'").get()?.["sql"]
    shell.exec("DROP TRIGGER job_event_keeps")
    shell.prepare("UPDATE job_event SET code = ? WHERE job_id = ? AND seq = ?").run(code, jobId, seq)
    shell.exec(String(trigger))
    shell.close()
  })

for (const { backEnd, path, faults } of [
  { backEnd: "SQLite in a file", path: file, faults: { tamper } },
  { backEnd: "SQLite in memory", path: ":memory:", faults: {} }
]) {
  // One client for all suites: the folder would refuse a second one.
  const runtime = ManagedRuntime.make(SqliteClient.layer({ path }))
  afterAll(() => runtime.dispose())
  const client = Layer.effectContext(runtime.contextEffect)
  const layer = Layer.provide(SqliteState.layer, client)

  jobStoreContract(backEnd, layer, { soleOwner: true })
  jobSurveyContract(backEnd, layer, { soleOwner: true })
  outboxContract(backEnd, layer)
  creditLedgerContract(backEnd, layer)
  namespacesContract(backEnd, layer)
  apiKeysContract(backEnd, layer)
  nodeRegistryContract(backEnd, layer)
  catalogContract(backEnd, layer)
  daemonsContract(backEnd, layer, { soleOwner: true })
  auditContract(backEnd, layer, faults)
  settingsContract(backEnd, layer, { another: Layer.provide(SqliteSettings.layer, client) })
  sweeperStatesContract(backEnd, layer)
  webhooksContract(backEnd, layer)
  erasuresContract(backEnd, layer)
  noticesContract(backEnd, layer)
  receiptsContract(backEnd, layer)
  networkKeysContract(backEnd, layer, { soleOwner: true })
  if (path === file) receiptAuditContract(backEnd, layer, { tamper: tamperEvent })
}
