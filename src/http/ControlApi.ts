/** The groups of the control listener. Answers are the house's own shapes; those without a schema are described as objects. */
import * as Schema from "effect/Schema"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { SegmentManifest } from "../schemas/Archive.ts"
import { Erasure } from "../schemas/Erasure.ts"
import { Incident } from "../schemas/Incident.ts"
import { LogEntry } from "../schemas/JobRecord.ts"
import { ApiKey, Namespace } from "../schemas/Namespace.ts"
import { EvaluationSet, EvaluationSetLine, Standing, Trial } from "../schemas/Quality.ts"
import { RollupDefinition } from "../schemas/Rollup.ts"
import { ReceiptFile } from "../schemas/Receipt.ts"
import { SettingsVersion } from "../schemas/RuntimeSettings.ts"
import { Notice, Webhook, WebhookStanding } from "../schemas/Webhook.ts"
import { ByReason, get, id, many, Objects, optional, order, page, post, Reason, says } from "./ApiWords.ts"
import { RestartOrder } from "./routes/control/Actors.ts"
import { EraseJobOrder, EraseOrder } from "./routes/control/Erasures.ts"
import { HoldOrder } from "./routes/control/Jobs.ts"
import { CreateKeyOrder } from "./routes/control/Keys.ts"
import { AmendOrder, CreateNamespaceOrder, GrantOrder } from "./routes/control/Namespaces.ts"
import { RestrictOrder } from "./routes/control/Nodes.ts"
import { AddSetOrder } from "./routes/control/Quality.ts"
import { ArchiveRollupsOrder } from "./routes/control/Rollups.ts"
import { SettingsOrder } from "./routes/control/Settings.ts"
import { CreateWebhookOrder } from "./routes/control/Webhooks.ts"
import { SnapshotsGroup, Started, Works } from "./SnapshotApi.ts"

const Balance = Schema.Struct({
  granted: Schema.String,
  available: Schema.String,
  reserved: Schema.String,
  spent: Schema.String
})
const NodeAnswer = Schema.Struct({ node: Schema.JsonObject })
const nodeOrder = { params: id, payload: order(RestrictOrder), success: NodeAnswer } as const
const nodeReason = { params: id, payload: Reason, success: NodeAnswer } as const

class Actors extends HttpApiGroup.make("actors").add(
  get("listActors", "/control/actors", { success: Objects }).annotate(says, "The supervision tree"),
  post("restartActor", "/control/actors/restart", {
    payload: order(RestartOrder),
    success: Schema.JsonObject
  }).annotate(says, "Start one actor anew")
) {}

class DaemonsGroup extends HttpApiGroup.make("daemons").add(
  get("listDaemons", "/control/daemons", { success: Objects }).annotate(says, "Who shares this installation")
) {}

class Nodes extends HttpApiGroup.make("nodes").add(
  get("listNodes", "/control/nodes", { success: Objects }).annotate(says, "All nodes, with how they are right now"),
  get("getNode", "/control/nodes/:id", { params: id, success: Schema.JsonObject }).annotate(says, "One node"),
  post("pauseNode", "/control/nodes/:id/pause", nodeOrder).annotate(says, "No new work"),
  post("resumeNode", "/control/nodes/:id/resume", nodeReason).annotate(says, "Lift a pause"),
  post("freezeNode", "/control/nodes/:id/freeze", nodeOrder).annotate(says, "No work; what runs moves"),
  post("unfreezeNode", "/control/nodes/:id/unfreeze", nodeReason).annotate(says, "Lift a freeze"),
  post("drainNode", "/control/nodes/:id/drain", { params: id, ...ByReason }).annotate(says, "Finish, then leave"),
  post("shadowBanNode", "/control/nodes/:id/shadow-ban", nodeOrder).annotate(says, "No work, and it is not told"),
  post("maintainNode", "/control/nodes/:id/maintenance", nodeOrder).annotate(says, "Under maintenance"),
  post("reinstateNode", "/control/nodes/:id/reinstate", nodeReason).annotate(says, "Lift every restriction")
) {}

/** What a search of jobs may ask for. */
const filters = {
  namespace: optional,
  model: optional,
  type: optional,
  service: optional,
  mode: optional,
  status: optional,
  from: optional,
  to: optional,
  user: optional,
  key: optional,
  node: optional,
  error: optional
}

class Jobs extends HttpApiGroup.make("jobs").add(
  get("searchJobs", "/control/jobs", {
    query: { ...filters, limit: optional, cursor: optional },
    success: Schema.Struct({
      data: Schema.Array(Schema.JsonObject),
      nextCursor: Schema.NullOr(Schema.String)
    })
  }).annotate(says, "Find jobs of all namespaces"),
  get("exportJobs", "/control/jobs/export", {
    query: { ...filters, format: optional, after: optional },
    success: [
      Schema.String.pipe(HttpApiSchema.asText({ contentType: "application/x-ndjson" })),
      Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/csv" })),
      Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: "application/vnd.apache.parquet" }))
    ]
  }).annotate(says, "All jobs of a search, without prompt and output; goes on behind the cursor of any row (`after`)"),
  get("getJob", "/control/jobs/:id", { params: id, success: Schema.JsonObject }).annotate(
    says,
    "Row, history and record, without prompt and output"
  ),
  get("explainJob", "/control/jobs/:id/explain", { params: id, success: Schema.JsonObject }),
  get("followJob", "/control/jobs/:id/events", {
    params: id,
    query: { after: optional },
    success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/event-stream" }))
  }),
  get("traceJob", "/control/jobs/:id/trace", { params: id, success: Schema.JsonObject }),
  get("receiptOfJob", "/control/jobs/:id/receipt", { params: id, success: ReceiptFile }).annotate(
    says,
    "Its signed receipt, with the nodes and without the salt"
  ),
  get("auditReceipt", "/control/jobs/:id/receipt/audit", { params: id, success: Schema.JsonObject }).annotate(
    says,
    "Whether what is stored of it today is what its receipt says"
  ),
  post("cancelJob", "/control/jobs/:id/cancel", { params: id, ...ByReason }),
  post("holdJob", "/control/jobs/:id/hold", {
    params: id,
    payload: order(HoldOrder),
    success: Schema.JsonObject
  }).annotate(says, "Keep its record from being archived away"),
  post("eraseJob", "/control/jobs/:id/erase", {
    params: id,
    payload: order(EraseJobOrder),
    success: Schema.JsonObject
  }).annotate(says, "Forget what was asked and answered, everywhere"),
  get("listLanes", "/control/lanes", { success: Schema.JsonObject }).annotate(says, "What waits where")
) {}

class Namespaces extends HttpApiGroup.make("namespaces").add(
  get("listNamespaces", "/control/namespaces", { success: many(Namespace) }),
  post("createNamespace", "/control/namespaces", {
    payload: order(CreateNamespaceOrder),
    success: Schema.Struct({ namespace: Namespace }).pipe(HttpApiSchema.status(201))
  }),
  get("getNamespace", "/control/namespaces/:id", {
    params: id,
    success: Schema.Struct({ namespace: Namespace, balance: Balance, openJobs: Schema.Int })
  }),
  post("amendNamespace", "/control/namespaces/:id/rules", {
    params: id,
    payload: order(AmendOrder),
    success: Schema.Struct({ namespace: Namespace })
  }),
  post("holdNamespace", "/control/namespaces/:id/hold", {
    params: id,
    payload: order(HoldOrder),
    success: Schema.Struct({ namespace: Namespace })
  }).annotate(says, "Legal hold over all its jobs, or its end"),
  post("grantCredits", "/control/namespaces/:id/grant", {
    params: id,
    payload: order(GrantOrder),
    success: Schema.Struct({ namespaceId: Schema.String, balance: Balance })
  }).annotate(says, "Grant credits; the same reference twice grants once"),
  get("getBalance", "/control/namespaces/:id/balance", {
    params: id,
    success: Schema.Struct({ namespaceId: Schema.String, balance: Balance })
  }),
  get("listEntries", "/control/namespaces/:id/entries", {
    params: id,
    query: page,
    success: Schema.JsonObject
  }).annotate(says, "The rows that made a balance, in order")
) {}

class Ledger extends HttpApiGroup.make("ledger").add(
  get("auditLedger", "/control/ledger/audit", { success: Schema.JsonObject }).annotate(
    says,
    "Whether every balance is the sum of its entries"
  ),
  get("getInvoice", "/control/namespaces/:id/invoice", {
    params: id,
    query: { from: optional, to: optional, format: optional },
    success: [Schema.JsonObject, Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/csv" }))]
  }).annotate(says, "What a namespace has to pay for, compared with the ledger"),
  get("listRollups", "/control/rollups", {
    query: { from: optional, to: optional },
    success: Schema.JsonObject
  }).annotate(says, "How far the rollups are, and which days are here or archived"),
  get("listRollupRows", "/control/rollups/:definition/rows", {
    params: { definition: RollupDefinition },
    query: { from: optional, to: optional, namespace: optional, limit: optional, cursor: optional },
    success: Schema.JsonObject
  }).annotate(says, "Rows of credits, jobs or accounts by hour"),
  post("archiveRollups", "/control/rollups/archive", {
    payload: order(ArchiveRollupsOrder),
    success: Schema.JsonObject
  }).annotate(says, "Closed days out of the store, into the archive"),
  post("restoreRollups", "/control/rollups/:day/restore", {
    params: { day: Schema.String },
    ...ByReason
  }).annotate(says, "A day back from the archive")
) {}

class Keys extends HttpApiGroup.make("keys").add(
  get("listKeys", "/control/keys", { query: { namespace: optional }, success: many(ApiKey) }),
  post("createKey", "/control/keys", {
    payload: order(CreateKeyOrder),
    success: Schema.Struct({ key: ApiKey, secret: Schema.String }).pipe(HttpApiSchema.status(201))
  }).annotate(says, "The secret is shown this once"),
  post("revokeKey", "/control/keys/:id/revoke", {
    params: id,
    payload: Reason,
    success: Schema.Struct({ key: ApiKey })
  })
) {}

const ErasureAnswer = Schema.Struct({ erasure: Erasure })

class Erasures extends HttpApiGroup.make("erasures").add(
  get("listErasures", "/control/erasures", { query: { limit: optional }, success: many(Erasure) }),
  get("getErasure", "/control/erasures/:id", { params: id, success: ErasureAnswer }).annotate(says, "How far it is"),
  post("erase", "/control/erasures", {
    payload: order(EraseOrder),
    success: ErasureAnswer.pipe(HttpApiSchema.status(202))
  }).annotate(says, "Forget all jobs of a namespace, or those of one of its end users")
) {}

class Upkeep extends HttpApiGroup.make("upkeep").add(
  get("listSweepers", "/control/sweepers", { success: Objects }),
  post("sweep", "/control/sweepers/:name/sweep", {
    params: { name: Schema.String },
    query: { dry_run: optional, background: optional },
    ...ByReason
  }).annotate(says, "One pass now, as long work with background, or what it would take with dry_run"),
  get("listRoots", "/control/roots", { query: page, success: Schema.JsonObject }).annotate(
    says,
    "The signed Merkle roots of closed hours"
  ),
  get("listNetworkKeys", "/control/network-keys", { success: Objects }).annotate(
    says,
    "The keys of the network, and how many living daemons sign with each"
  ),
  get("listArchives", "/control/archives", { success: many(SegmentManifest) }),
  get("readArchive", "/control/archives/:id", {
    params: id,
    success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "application/x-ndjson" }))
  }),
  post("verifyArchive", "/control/archives/:id/verify", {
    params: id,
    payload: Reason,
    success: Schema.Struct({ segment: SegmentManifest, ok: Schema.Boolean })
  }),
  post("verifyArchives", "/control/archives/verify", { payload: Reason, success: Started }).annotate(
    says,
    "Begins to read every segment back; the work's result names what is broken"
  )
) {}

const Ratings = Schema.Struct({
  group: Schema.String,
  ratings: Schema.Int,
  /** Of scores from 1 to 5. */
  meanScore: Schema.Finite,
  /** Scores of 1 and 2. */
  low: Schema.Int
})
class Records extends HttpApiGroup.make("records").add(
  get("retrieveStats", "/control/stats", {
    query: { namespace: optional, group_by: optional, from: optional, to: optional },
    success: Schema.Struct({
      groupBy: Schema.Array(Schema.String),
      from: Schema.Int,
      to: Schema.Int,
      data: Schema.Array(Schema.JsonObject)
    })
  }).annotate(says, "Volume, errors, tokens, cost and percentiles of times, by one or two groups"),
  get("searchLogs", "/control/logs", {
    query: {
      namespace: optional,
      type: optional,
      job: optional,
      from: optional,
      to: optional,
      limit: optional,
      cursor: optional
    },
    success: Schema.Struct({ data: Schema.Array(LogEntry), nextCursor: Schema.NullOr(Schema.String) })
  }).annotate(says, "The typed log, oldest first")
) {}

class Oversight extends HttpApiGroup.make("oversight").add(
  get("listIncidents", "/control/incidents", {
    query: {
      kind: optional,
      type: optional,
      subject: optional,
      open: optional,
      from: optional,
      to: optional,
      limit: optional
    },
    success: many(Incident)
  }).annotate(says, "What happened that should be known, newest first; `open=true`: what goes on"),
  get("listRatings", "/control/ratings", {
    query: { by: optional, from: optional, to: optional, limit: optional },
    success: many(Ratings)
  }).annotate(says, "What customers think of the answers, by node or model"),
  get("listAudit", "/control/audit", { query: page, success: Schema.JsonObject }),
  get("verifyAudit", "/control/audit/verify", { success: Schema.JsonObject })
) {}

const WebhookAnswer = Schema.Struct({ webhook: Webhook })

class WebhooksGroup extends HttpApiGroup.make("webhooks").add(
  get("listWebhooks", "/control/webhooks", { success: many(WebhookStanding) }).annotate(says, "Without their secrets"),
  post("createWebhook", "/control/webhooks", {
    payload: order(CreateWebhookOrder),
    success: Schema.Struct({ webhook: Webhook, secret: Schema.String }).pipe(HttpApiSchema.status(201))
  }).annotate(says, "The secret is shown this once"),
  post("disableWebhook", "/control/webhooks/:id/disable", { params: id, payload: Reason, success: WebhookAnswer }),
  post("enableWebhook", "/control/webhooks/:id/enable", { params: id, payload: Reason, success: WebhookAnswer }),
  post("deleteWebhook", "/control/webhooks/:id/delete", { params: id, ...ByReason }),
  post("testWebhook", "/control/webhooks/:id/test", {
    params: id,
    payload: Reason,
    success: Schema.Struct({ webhookId: Schema.String, noticeId: Schema.String }).pipe(HttpApiSchema.status(202))
  }).annotate(says, "Sends one notice that is no incident"),
  get("listNotices", "/control/webhooks/:id/notices", {
    params: id,
    query: { limit: optional },
    success: many(Notice)
  }).annotate(says, "What was sent or is to be sent to it")
) {}

class QualityGroup extends HttpApiGroup.make("quality").add(
  get("listEvaluationSets", "/control/quality/sets", { success: many(EvaluationSetLine) }).annotate(
    says,
    "The newest version of each set, without its prompts"
  ),
  get("getEvaluationSet", "/control/quality/sets/:id", {
    params: id,
    query: { version: optional },
    success: Schema.Struct({ set: EvaluationSet, versions: Schema.Array(EvaluationSetLine) })
  }),
  post("addEvaluationSet", "/control/quality/sets", {
    payload: order(AddSetOrder),
    success: Schema.Struct({ set: EvaluationSetLine, added: Schema.Boolean })
  }).annotate(says, "A new version; the same content again makes none"),
  get("listScores", "/control/quality/scores", {
    query: { node: optional, model: optional, limit: optional },
    success: many(Standing)
  }).annotate(says, "How nodes stand with their models"),
  get("listTrials", "/control/quality/trials", {
    query: { kind: optional, state: optional, node: optional, model: optional, set: optional, limit: optional },
    success: many(Trial)
  }).annotate(says, "What nodes were asked that was known, and what they answered"),
  get("listNodeJobs", "/control/nodes/:id/jobs", {
    params: id,
    query: { limit: optional },
    success: Objects
  }).annotate(says, "A node's jobs as its owner may see them")
) {}

class Rules extends HttpApiGroup.make("settings").add(
  get("getSettings", "/control/settings", { success: SettingsVersion }),
  post("changeSettings", "/control/settings", { payload: order(SettingsOrder), success: SettingsVersion }),
  get("listSettings", "/control/settings/history", { query: { limit: optional }, success: many(SettingsVersion) })
) {}

class Health extends HttpApiGroup.make("health").add(
  get("healthz", "/healthz", { success: Schema.JsonObject }),
  get("readyz", "/readyz", { success: Schema.JsonObject }).annotate(says, "503 while it takes no work"),
  get("metrics", "/metrics", { success: Schema.String.pipe(HttpApiSchema.asText()) }),
  get("openapi", "/openapi.json", { success: Schema.JsonObject }),
  get("docs", "/docs", { success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/html" })) })
) {}

export const ControlGroups = [
  Actors,
  DaemonsGroup,
  Nodes,
  Jobs,
  Namespaces,
  Ledger,
  Keys,
  Erasures,
  Upkeep,
  Records,
  Oversight,
  WebhooksGroup,
  QualityGroup,
  SnapshotsGroup,
  Works,
  Rules,
  Health
] as const
