/** The contracts of jobs and credits on one PostgreSQL client. */
import * as Layer from "effect/Layer"
import * as CreditLedger from "./PgCreditLedger.ts"
import * as JobRowRetention from "./PgJobRowRetention.ts"
import * as JobStore from "./PgJobStore.ts"
import * as JobSurvey from "./PgJobSurvey.ts"
import * as Outbox from "./PgOutbox.ts"

export const layer = Layer.mergeAll(
  JobStore.layer,
  JobSurvey.layer,
  JobRowRetention.layer,
  Outbox.layer,
  CreditLedger.layer
)
