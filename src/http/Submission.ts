/**
 * From a valid request to its answer: admit, then wait, stream, or point to where the result will be. Admission is not interrupted half-way; a
 * client that leaves while its sync or stream job runs cancels it, and pays for what was produced by then.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Admission, type Admitted, type JobRequest } from "../actors/job/Admission.ts"
import { JobStreams } from "../actors/job/JobStreams.ts"
import { type Outage, waitOut } from "../layers/Outage.ts"
import { toDecimal } from "../schemas/Credits.ts"
import type { JobId } from "../schemas/Ids.ts"
import type { JobRow } from "../schemas/JobState.ts"
import { joinChoices } from "../schemas/OutputChoices.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import type { TokenEvent } from "../schemas/TokenEvent.ts"
import type { AnswerShape } from "./AnswerShape.ts"
import { json, jsonObject, type KeyedCall, scopeOf } from "./Call.ts"
import { failureEvent, make as makeChunks } from "./ChunkWriter.ts"
import * as EventStream from "./EventStream.ts"
import { follow } from "./Follow.ts"
import { failureOf } from "./JobOutcome.ts"
import { viewOf } from "./JobViews.ts"
import { countRefusal, toldOf } from "./Problems.ts"
import { wholeAnswer } from "./WholeAnswer.ts"

/** How long the server waits for the end of a job whose client left; the cancellation itself does not hang on it. */
const CANCEL_PATIENCE = "10 seconds"

export type ShapeWishes = Pick<AnswerShape, "base64" | "includeUsage">

export const submit = (call: KeyedCall, request: JobRequest, wishes: ShapeWishes) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const admission = yield* Admission
      call.stage = "admission"
      call.model = request.model
      const admitted = yield* admission.admit(call.caller, request)
      call.stage = "execution"
      const { job } = admitted.row
      call.answerHeaders["x-job-id"] = job.id
      if (request.mode === "polling") return accepted(call, admitted.row)
      const shape: AnswerShape = {
        jobId: job.id,
        endpoint: job.endpoint,
        model: request.model,
        acceptedAt: job.acceptedAt,
        ...wishes
      }
      const answer = request.mode === "stream" ? streamed(call, shape) : waited(call, shape)
      return yield* restore(answer).pipe(Effect.onInterrupt(() => clientGone(call, admitted)))
    })
  )

const accepted = (call: KeyedCall, row: JobRow): HttpServerResponse.HttpServerResponse => {
  call.answerHeaders["location"] = `/v1/jobs/${row.job.id}`
  call.answerHeaders["preference-applied"] = "respond-async"
  return json(viewOf(row), 202)
}

/** The first piece tells how long its attempt had run, so what was before that was waiting. */
const noteQueue = (call: KeyedCall, shape: AnswerShape, first: TokenEvent | undefined) =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    if (first === undefined || call.answerHeaders["x-resultity-queue-ms"] !== undefined) return
    call.answerHeaders["x-resultity-queue-ms"] = String(Math.max(0, now - first.offsetMs - shape.acceptedAt))
  })

const waited = Effect.fnUntraced(function* (call: KeyedCall, shape: AnswerShape) {
  const events: Array<TokenEvent> = []
  const onPieces = (more: ReadonlyArray<TokenEvent>) => {
    for (const event of more) events.push(event)
    return noteQueue(call, shape, more[0])
  }
  const row = yield* follow({ scope: scopeOf(call), jobId: shape.jobId, onPieces, lagged: () => false })
  call.answerHeaders["x-resultity-attempts"] = String(row.attempt)
  call.answerHeaders["x-resultity-cost"] = toDecimal(row.charged)
  const failure = failureOf(row)
  if (failure !== null) return yield* failure
  return jsonObject(wholeAnswer(shape, joinChoices(events), row.usage))
})

const streamed = Effect.fnUntraced(function* (call: KeyedCall, shape: AnswerShape) {
  const stream = yield* EventStream.make(call)
  const chunks = makeChunks(shape)
  const onPieces = (events: ReadonlyArray<TokenEvent>) =>
    stream.started()
      ? stream.write(chunks.pieces(events))
      : Effect.andThen(
          noteQueue(call, shape, events[0]),
          Effect.suspend(() => stream.write(chunks.pieces(events)))
        )
  const ending = follow({ scope: scopeOf(call), jobId: shape.jobId, onPieces, lagged: stream.lagged }).pipe(
    Effect.flatMap(endedWell),
    Effect.map(({ usage }) => chunks.end(usage)),
    Effect.catch((error) => toldWithin(call, stream, error)),
    Effect.onInterrupt(() =>
      stream.started() ? stream.end(failureEvent(stopping(shape.jobId), call.requestId)) : Effect.void
    )
  )
  return yield* stream.end(yield* ending)
})

/** Before the head is out a failure is an ordinary answer; after it, an event. */
const toldWithin = Effect.fnUntraced(function* (
  call: KeyedCall,
  stream: EventStream.EventStream,
  error: Refusal | Outage
) {
  const refusal = yield* toldOf(error, call.requestId)
  if (!stream.started()) return yield* refusal
  yield* countRefusal(refusal)
  return failureEvent(refusal, call.requestId)
})

const endedWell = (row: JobRow): Effect.Effect<JobRow, Refusal> => {
  const failure = failureOf(row)
  return failure === null ? Effect.succeed(row) : Effect.fail(failure)
}

const stopping = (jobId: JobId): Refusal =>
  refuse("draining", `This server is stopping. The job goes on; its result will be at /v1/jobs/${jobId}/result.`, {
    jobId
  })

/** Only when the client is really gone: the end of this server must not take its jobs along. */
const clientGone = Effect.fnUntraced(function* (call: KeyedCall, { row, created }: Admitted) {
  if (!call.outgoing.destroyed || call.cutOff || !created) return
  const streams = yield* JobStreams
  yield* waitOut(streams.cancel(scopeOf(call), row.job.id, "client_gone")).pipe(
    // It ended by itself in the meantime.
    Effect.catchTag("Refusal", () => Effect.void),
    Effect.timeoutOption(CANCEL_PATIENCE)
  )
})
