/** Asking with the official client, in one piece and streamed. */
import OpenAI, { APIConnectionError, APIError, APIUserAbortError } from "openai"
import { accepted, type Answer, ASK_MS, type OpOptions, readWhole, type Way } from "./Asking.ts"
import { beginReading, breakAt, type Reading } from "./ClientReading.ts"
import { JOB_ENDS, type Place } from "./ClientWire.ts"

const sdkOf = ({ customer, key }: OpOptions, { url }: Place, timeout: number): OpenAI =>
  new OpenAI({
    baseURL: `${url}/v1`,
    apiKey: customer.secret,
    maxRetries: key === null ? 0 : 2,
    timeout,
    ...(key === null ? {} : { defaultHeaders: { "idempotency-key": key } })
  })

/** What the official client throws, as everybody else is told it. */
const thrownBySdk = (cause: unknown): Answer => {
  if (cause instanceof APIConnectionError || cause instanceof APIUserAbortError) return { _tag: "unknown" }
  if (!(cause instanceof APIError) || cause.status === undefined) throw cause
  const jobId = cause.headers?.get("x-job-id") ?? null
  const code = typeof cause.code === "string" ? cause.code : ""
  if (jobId !== null && JOB_ENDS.has(code))
    return { _tag: "job", outcome: { jobId, reading: beginReading(), whole: false, ended: null } }
  const passes = cause.headers?.get("x-should-retry") !== "false" && [408, 409, 429, 503].includes(cause.status)
  return { _tag: "refused", problem: { status: cause.status, code, passes, retryAfterMs: 0, jobId } }
}

export const sdkWaited: Way = async (options, place) => {
  const from = Date.now()
  try {
    const { data, response } = await sdkOf(options, place, ASK_MS)
      .chat.completions.create({ ...options.body, messages: [...options.body.messages] })
      .withResponse()
    const jobId = response.headers.get("x-job-id") ?? ""
    accepted(options, place, jobId, from)
    return { _tag: "job", outcome: { jobId, reading: readWhole(data), whole: true, ended: null } }
  } catch (cause) {
    const answer = thrownBySdk(cause)
    if (answer._tag === "job") accepted(options, place, answer.outcome.jobId, from)
    return answer
  }
}

/** The official client hides the numbers of pieces, so what it had is read again from the start and has to be the same. */
export const sdkStreamed: Way = async (options, place, note) => {
  const from = Date.now()
  let jobId: string | null = null
  const texts: Array<string> = []
  const finishes: Array<string | null> = []
  let firstAt: number | null = null
  try {
    const { data, response } = await sdkOf(options, place, ASK_MS)
      .chat.completions.create({ ...options.body, messages: [...options.body.messages], stream: true })
      .withResponse()
    jobId = response.headers.get("x-job-id")
    if (jobId !== null) accepted(options, place, jobId, from)
    for await (const { choices } of data) {
      for (const { index, delta, finish_reason: finish } of choices) {
        firstAt ??= Date.now()
        texts[index] = (texts[index] ?? "") + (delta.content ?? "")
        finishes[index] = finish ?? finishes[index] ?? null
      }
    }
    // Its loop ends quietly, also when the connection just went: only a reason to finish says that the answer is whole.
    const whole = finishes.length > 0 && [...finishes].every((finish) => finish !== null && finish !== undefined)
    const reading: Reading = whole
      ? { position: 0, texts, finishes, firstAt, brokeAt: null }
      : { ...beginReading(), firstAt, brokeAt: Date.now() }
    if (jobId === null) return { _tag: "unknown" }
    return { _tag: "job", outcome: { jobId, reading: whole ? reading : again(reading, texts), whole, ended: null } }
  } catch (cause) {
    if (jobId === null) {
      const answer = thrownBySdk(cause)
      if (answer._tag === "job") accepted(options, place, answer.outcome.jobId, from)
      return answer
    }
    const reading = { ...beginReading(), firstAt }
    breakAt(reading, place.name, "sdk stream", note)
    return { _tag: "job", outcome: { jobId, reading: again(reading, texts), whole: false, ended: null } }
  }
}

/** What a reading that begins again had seen before. */
export const SEEN = new WeakMap<Reading, ReadonlyArray<string>>()
const again = (reading: Reading, texts: ReadonlyArray<string>): Reading => {
  SEEN.set(reading, texts)
  return reading
}
