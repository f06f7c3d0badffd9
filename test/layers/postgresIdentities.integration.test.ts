/** The contracts of who asks, who serves, who acts and by which rules, on PostgreSQL: one line a suite. */
import { Effect, Layer } from "effect"
import * as PgClient from "../../src/layers/postgres/PgClient.ts"
import * as PgSettings from "../../src/layers/postgres/PgSettings.ts"
import { apiKeysContract } from "./contracts/ApiKeys.contract.ts"
import { auditContract } from "./contracts/Audit.contract.ts"
import { catalogContract } from "./contracts/Catalog.contract.ts"
import { daemonsContract } from "./contracts/Daemons.contract.ts"
import { namespacesContract } from "./contracts/Namespaces.contract.ts"
import { nodeRegistryContract } from "./contracts/NodeRegistry.contract.ts"
import { noticesContract } from "./contracts/Notices.contract.ts"
import { settingsContract } from "./contracts/Settings.contract.ts"
import { sweeperStatesContract } from "./contracts/SweeperStates.contract.ts"
import { erasuresContract } from "./contracts/Erasures.contract.ts"
import { networkKeysContract } from "./contracts/NetworkKeys.contract.ts"
import { receiptAuditContract } from "./contracts/ReceiptAudit.contract.ts"
import { receiptsContract } from "./contracts/Receipts.contract.ts"
import { webhooksContract } from "./contracts/Webhooks.contract.ts"
import { clientOf, freshSchema, layerOf, shell, withPostgres } from "./postgres/PgSchema.ts"

withPostgres("the contracts of identities on PostgreSQL", () => {
  const options = freshSchema("identities")
  const layer = layerOf(clientOf(options))

  /** Past the trigger that forbids it. */
  const tamper = (seq: number, reason: string) =>
    Effect.promise(() =>
      shell(
        options.schema,
        "ALTER TABLE audit DISABLE TRIGGER append_only",
        `UPDATE audit SET reason = '${JSON.stringify(reason)}' WHERE seq = ${seq}`,
        "ALTER TABLE audit ENABLE TRIGGER append_only"
      )
    )

  namespacesContract("PostgreSQL", layer)
  apiKeysContract("PostgreSQL", layer)
  nodeRegistryContract("PostgreSQL", layer)
  catalogContract("PostgreSQL", layer)
  daemonsContract("PostgreSQL", layer)
  auditContract("PostgreSQL", layer, { tamper })
  settingsContract("PostgreSQL", layer, {
    another: Layer.provide(Layer.fresh(PgSettings.layer), PgClient.layer(options)) as never
  })
  sweeperStatesContract("PostgreSQL", layer)
  webhooksContract("PostgreSQL", layer)
  erasuresContract("PostgreSQL", layer)
  noticesContract("PostgreSQL", layer)
  receiptsContract("PostgreSQL", layer)
  networkKeysContract("PostgreSQL", layer)
  receiptAuditContract("PostgreSQL", layer, {
    tamper: (jobId, seq, code) =>
      Effect.promise(() =>
        shell(
          options.schema,
          "ALTER TABLE job_event DISABLE TRIGGER append_only",
          `UPDATE job_event SET code = '${code}' WHERE job_id = '${jobId}' AND seq = ${seq}`,
          "ALTER TABLE job_event ENABLE TRIGGER append_only"
        )
      )
  })
})
