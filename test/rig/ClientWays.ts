/** The ways in which clients ask: streams read or left, answers waited for, jobs that are polled, cancelled, or asked for several times at once. */
import { scheduler } from "node:timers/promises"
import {
  accepted,
  type Answer,
  ASK_MS,
  headersOf,
  type OpOptions,
  readWhole,
  refusedOr,
  SILENCE_MS,
  type Way,
  type Whole
} from "./Asking.ts"
import { beginReading, breakAt, type Note, type Reading, takePiece } from "./ClientReading.ts"
import { codeIn, eventsOf, isBroken, JOB_ENDS, type Place, send } from "./ClientWire.ts"
import type { OpKind } from "./History.ts"
import { sdkStreamed, sdkWaited } from "./SdkWays.ts"

const streamed =
  (leaveAt: (options: OpOptions) => number): Way =>
  async (options, place, note) => {
    const controller = new AbortController()
    const from = Date.now()
    const opening = setInterval(() => controller.abort(), SILENCE_MS)
    const body = { ...options.body, stream: true }
    let response: Response
    try {
      response = await send(place, {
        method: "POST",
        path: "/v1/chat/completions",
        secret: options.customer.secret,
        body,
        headers: headersOf(options),
        signal: controller.signal
      })
    } finally {
      clearInterval(opening)
    }
    const jobId = response.headers.get("x-job-id")
    if (response.status !== 200 || jobId === null) return refusedOr(options, response, place, from)
    accepted(options, place, jobId, from)
    const reading = beginReading()
    const whole = await readChunks(reading, response, controller, place, leaveAt(options), note)
    return { _tag: "job", outcome: { jobId, reading, whole, ended: null } }
  }

interface Chunk {
  readonly choices: ReadonlyArray<{
    readonly index: number
    readonly delta: { readonly content?: string }
    readonly finish_reason: string | null
  }>
}

/** True when the stream said `[DONE]`. */
const readChunks = async (
  reading: Reading,
  response: Response,
  controller: AbortController,
  place: Place,
  leaveAt: number,
  note: Note
): Promise<boolean> => {
  try {
    for await (const { id, data } of eventsOf(response, controller, SILENCE_MS)) {
      if (data === "[DONE]") return true
      const code = codeIn(data)
      if (code !== "") {
        if (!JOB_ENDS.has(code)) breakAt(reading, place.name, code, note)
        return false
      }
      const [choice] = (JSON.parse(data) as Chunk).choices
      if (id === "" || choice === undefined) continue
      const { index, delta, finish_reason: finish } = choice
      takePiece(
        reading,
        { seq: Number(id), choice: index, text: delta.content ?? "", ...(finish === null ? {} : { finish }) },
        place.name,
        note
      )
      if (reading.position >= leaveAt) {
        controller.abort()
        return false
      }
    }
    breakAt(reading, place.name, "stream without an end", note)
  } catch (cause) {
    if (!isBroken(cause)) throw cause
    breakAt(reading, place.name, "stream", note)
  }
  return false
}

const polled: Way = async (options, place) => {
  const from = Date.now()
  const headers = { ...headersOf(options), prefer: "respond-async" }
  const response = await send(place, {
    method: "POST",
    path: "/v1/chat/completions",
    secret: options.customer.secret,
    body: options.body,
    headers,
    signal: AbortSignal.timeout(SILENCE_MS)
  })
  const jobId = response.headers.get("x-job-id")
  if (response.status !== 202 || jobId === null) return refusedOr(options, response, place, from)
  await response.arrayBuffer()
  accepted(options, place, jobId, from)
  return { _tag: "job", outcome: { jobId, reading: beginReading(), whole: false, ended: null } }
}

const waited: Way = async (options, place) => {
  const from = Date.now()
  const response = await send(place, {
    method: "POST",
    path: "/v1/chat/completions",
    secret: options.customer.secret,
    body: options.body,
    headers: headersOf(options),
    signal: AbortSignal.timeout(ASK_MS)
  })
  const jobId = response.headers.get("x-job-id")
  if (response.status !== 200 || jobId === null) return refusedOr(options, response, place, from)
  const reading = readWhole((await response.json()) as Whole)
  accepted(options, place, jobId, from)
  return { _tag: "job", outcome: { jobId, reading, whole: true, ended: null } }
}

const cancelled: Way = async (options, place, note) => {
  const answer = await polled(options, place, note)
  if (answer._tag !== "job") return answer
  await scheduler.wait(options.dice.between(0, 900))
  const { jobId } = answer.outcome
  const elsewhere = options.anywhere()
  try {
    const response = await send(elsewhere, {
      method: "POST",
      path: `/v1/jobs/${jobId}/cancel`,
      secret: options.customer.secret,
      signal: AbortSignal.timeout(SILENCE_MS)
    })
    await response.arrayBuffer()
    options.write({ type: "cancelAsked", status: response.status })
  } catch (cause) {
    if (!isBroken(cause)) throw cause
    note.broke(elsewhere.name, "cancel", 0)
  }
  return answer
}

/** The same question several times at once through several daemons, and once another one under the same key. */
const repeated: Way = async (options, place, note) => {
  const other: OpOptions = { ...options, body: { ...options.body, max_tokens: 3 } }
  const places = [place, options.anywhere(), options.anywhere()]
  const answers = await Promise.allSettled([
    ...places.map((at) => polled(options, at, note)),
    mismatched(other, place, note)
  ])
  const found = answers.slice(0, -1).flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []))
  const job = found.find(({ _tag }) => _tag === "job")
  const last = answers.at(-1)
  // Which of the two bodies comes first is open; that both are taken for one job is not.
  if (job !== undefined && last?.status === "fulfilled" && last.value._tag === "job")
    note.fault("answer", "two different bodies were accepted under one key")
  return job ?? found[0] ?? { _tag: "unknown" }
}

const mismatched = async (options: OpOptions, place: Place, note: Note): Promise<Answer> => {
  await scheduler.wait(options.dice.between(20, 300))
  return polled(options, place, note)
}

export const WAYS: Readonly<Record<OpKind, Way>> = {
  stream: streamed(() => Number.POSITIVE_INFINITY),
  leave: streamed(({ dice }) => dice.between(1, 30)),
  sync: waited,
  polling: polled,
  cancel: cancelled,
  sdkStream: sdkStreamed,
  sdkSync: sdkWaited,
  repeat: repeated
}
