/**
 * Every path of both listeners, once: the tables that requests are looked up in and the OpenAPI documents are made from these lists. Who may come
 * in and what happens stands in `routes/`, under the same names.
 */
import * as Schema from "effect/Schema"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { ChatCompletion, EmbeddingList, Model, ModelList, TextCompletion } from "../schemas/openai/Answers.ts"
import { ChatRequest } from "../schemas/openai/ChatRequest.ts"
import { CompletionRequest } from "../schemas/openai/CompletionRequest.ts"
import { EmbeddingsRequest } from "../schemas/openai/EmbeddingsRequest.ts"
import { IncidentList } from "../schemas/openai/IncidentView.ts"
import { JobSubmission } from "../schemas/openai/JobSubmission.ts"
import {
  BalanceView,
  InvoiceView,
  EvaluationView,
  FeedbackOrder,
  JobErasure,
  JobExplanation,
  JobList,
  JobTrace,
  JobView,
  LogList,
  StatsView,
  StatusView,
  UsageView
} from "../schemas/openai/JobView.ts"
import { ReceiptFile, SignedRoot } from "../schemas/Receipt.ts"
import { ControlGroups } from "./ControlApi.ts"
import { withCommon } from "./Documents.ts"

const { get, post } = HttpApiEndpoint
const id = { id: Schema.String }
const Events = Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/event-stream" }))
const Accepted = JobView.pipe(HttpApiSchema.status(202))
const optional = Schema.optionalKey(Schema.String)

/** What a search of jobs may ask for. */
const filters = {
  model: optional,
  type: optional,
  service: optional,
  mode: optional,
  status: optional,
  from: optional,
  to: optional,
  user: optional,
  key: optional,
  error: optional,
  text: optional
}

/** A title for the document's list of operations. */
const says = OpenApi.Summary

export class Inference extends HttpApiGroup.make("inference").add(
  post("createChatCompletion", "/v1/chat/completions", {
    payload: ChatRequest,
    success: [ChatCompletion, Events, Accepted]
  }).annotate(says, "Answer a conversation, at once, token by token (`stream`), or later (`Prefer: respond-async`)"),
  post("createCompletion", "/v1/completions", {
    payload: CompletionRequest,
    success: [TextCompletion, Events, Accepted]
  }).annotate(says, "Complete one text or several"),
  post("createEmbedding", "/v1/embeddings", {
    payload: EmbeddingsRequest,
    success: [EmbeddingList, Accepted]
  }).annotate(says, "Turn texts into vectors"),
  get("listModels", "/v1/models", { success: ModelList }).annotate(says, "Models that the live fleet serves now"),
  get("retrieveModel", "/v1/models/:id", { params: id, success: Model }).annotate(says, "One of them")
) {}

export class Jobs extends HttpApiGroup.make("jobs").add(
  post("submitJob", "/v1/jobs", {
    payload: JobSubmission,
    success: [Accepted, ChatCompletion, TextCompletion, EmbeddingList, Events]
  }).annotate(says, "Submit a job"),
  get("searchJobs", "/v1/jobs", {
    query: { ...filters, limit: optional, cursor: optional },
    success: JobList
  }).annotate(says, "Find jobs, newest first, also by a word of prompt or answer (`text`)"),
  get("exportJobs", "/v1/jobs/export", {
    query: { ...filters, format: optional, include: optional, after: optional },
    success: [
      Schema.String.pipe(HttpApiSchema.asText({ contentType: "application/x-ndjson" })),
      Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/csv" })),
      Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: "application/vnd.apache.parquet" }))
    ]
  }).annotate(says, "Take all jobs of a search along; goes on behind the cursor of any row (`after`)"),
  get("retrieveJob", "/v1/jobs/:id", { params: id, success: JobView }).annotate(says, "How a job stands"),
  get("retrieveJobResult", "/v1/jobs/:id/result", {
    params: id,
    success: [ChatCompletion, TextCompletion, EmbeddingList, Accepted]
  }).annotate(says, "Its answer; 202 with the job while there is none"),
  get("followJob", "/v1/jobs/:id/events", { params: id, query: { after: optional }, success: Events }).annotate(
    says,
    "Its output piece by piece, from any position (`Last-Event-ID`)"
  ),
  get("explainJob", "/v1/jobs/:id/explain", { params: id, success: JobExplanation }).annotate(
    says,
    "Why it runs where it runs, or why it waits"
  ),
  get("traceJob", "/v1/jobs/:id/trace", { params: id, success: JobTrace }).annotate(says, "Its life, in order"),
  post("cancelJob", "/v1/jobs/:id/cancel", { params: id, success: JobView }).annotate(says, "Cancel it"),
  post("giveFeedback", "/v1/jobs/:id/feedback", {
    params: id,
    payload: FeedbackOrder,
    success: EvaluationView
  }).annotate(says, "Say what you think of its answer: a score from 1 to 5, a label, a comment; the last one counts"),
  HttpApiEndpoint.delete("eraseJob", "/v1/jobs/:id", { params: id, success: JobErasure }).annotate(
    says,
    "Forget what was asked and answered, everywhere; 202 while that is under way"
  ),
  get("receiptOfJob", "/v1/jobs/:id/receipt", { params: id, success: ReceiptFile }).annotate(
    says,
    "Its signed receipt, for `resultity receipt verify`"
  ),
  get("listRoots", "/v1/roots", {
    query: { after: optional, limit: optional },
    success: Schema.Struct({ object: Schema.Literal("list"), data: Schema.Array(SignedRoot) })
  }).annotate(says, "The signed Merkle roots of closed hours")
) {}

export class Account extends HttpApiGroup.make("account").add(
  get("retrieveBalance", "/v1/balance", { success: BalanceView }).annotate(says, "Credits of the namespace"),
  get("retrieveUsage", "/v1/usage", {
    query: { from: optional, to: optional, group_by: optional, format: optional },
    success: [UsageView, Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/csv" }))]
  }).annotate(says, "What was used, by model, key or day; as JSON or CSV"),
  get("retrieveInvoice", "/v1/invoice", {
    query: { from: optional, to: optional, format: optional },
    success: [InvoiceView, Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/csv" }))]
  }).annotate(says, "What was granted, charged and is left, from the ledger; as JSON or CSV"),
  get("searchIncidents", "/v1/incidents", {
    query: { kind: optional, type: optional, open: optional, from: optional, to: optional, limit: optional },
    success: IncidentList
  }).annotate(says, "What happened that should be known, newest first; `open=true`: what goes on"),
  get("retrieveStats", "/v1/stats", {
    query: { group_by: optional, from: optional, to: optional },
    success: StatsView
  }).annotate(says, "Volume, errors, tokens, cost and percentiles of times, by one or two of model, key, hour, day"),
  get("searchLogs", "/v1/logs", {
    query: { type: optional, job: optional, from: optional, to: optional, limit: optional, cursor: optional },
    success: LogList
  }).annotate(says, "What happened to jobs, by type and time, oldest first")
) {}

const NetworkKeyView = { id: Schema.String, public_key: Schema.String }
const NetworkKeysView = Schema.Struct({
  current: Schema.Struct(NetworkKeyView),
  keys: Schema.Array(Schema.Struct({ ...NetworkKeyView, since: Schema.Int }))
})

export class Open extends HttpApiGroup.make("open").add(
  get("healthz", "/healthz", { success: Schema.Struct({ status: Schema.Literal("ok") }) }).annotate(says, "It lives"),
  get("status", "/status", { success: StatusView }).annotate(says, "Sums over the fleet"),
  get("networkKeys", "/.well-known/resultity-keys.json", { success: NetworkKeysView }).annotate(
    says,
    "The public keys that receipts and roots are signed with"
  ),
  get("connectNode", "/nodes/connect", { success: HttpApiSchema.Empty(101) }).annotate(says, "WebSocket of a node"),
  get("openapi", "/openapi.json", { success: Schema.JsonObject }).annotate(says, "This document"),
  get("docs", "/docs", { success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/html" })) }).annotate(
    says,
    "This document, to read"
  )
) {}

const Never = Schema.JsonObject.pipe(HttpApiSchema.status(501))

/** Answered with 501 until they are offered; both spellings of those that are spelt in two ways. */
export class Planned extends HttpApiGroup.make("planned").add(
  post("createImage", "/v1/images/generations", { error: Never }),
  post("editImage", "/v1/images/edits", { error: Never }),
  post("varyImage", "/v1/images/variations", { error: Never }),
  post("describeImage", "/v1/images/description", { error: Never }),
  post("describeImages", "/v1/images/descriptions", { error: Never }),
  post("transcribeAudio", "/v1/audio/transcriptions", { error: Never }),
  post("translateAudio", "/v1/audio/translations", { error: Never }),
  post("translateAudioSingular", "/v1/audio/translation", { error: Never }),
  post("createSpeech", "/v1/audio/speech", { error: Never }),
  post("createModeration", "/v1/moderations", { error: Never }),
  post("createResponse", "/v1/responses", { error: Never }),
  post("createBatch", "/v1/batches", { error: Never })
) {}

const PublicGroups = [Inference, Jobs, Account, Open, Planned] as const

export class PublicApi extends HttpApi.make("resultity")
  .add(...PublicGroups)
  .annotateMerge(
    OpenApi.annotations({
      title: "Resultity",
      version: "1.0.0",
      transform: withCommon,
      description:
        "Inference on a decentralised network: OpenAI's routes unchanged, and jobs with everything around them."
    })
  ) {}

export class ControlApi extends HttpApi.make("resultity-control")
  .add(...ControlGroups)
  .annotateMerge(
    OpenApi.annotations({
      title: "Resultity control",
      version: "1.0.0",
      transform: withCommon,
      description: "For operators. Every change takes a reason and leaves a row in the audit."
    })
  ) {}

type NamesIn<Group> =
  HttpApiGroup.Endpoints<Group> extends { readonly identifier: infer Name extends string } ? Name : never
export type PublicName = NamesIn<InstanceOf<(typeof PublicGroups)[number]>>
export type ControlName = NamesIn<InstanceOf<(typeof ControlGroups)[number]>>
type InstanceOf<T> = T
