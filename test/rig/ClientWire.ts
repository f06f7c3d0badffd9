/** One request of a client to one daemon: what came back, or that nobody knows. Every wait is bounded, since a daemon may be frozen. */
import { sseEvents, type SseEvent } from "../support/Sse.ts"

export interface Place {
  readonly name: string
  readonly url: string
}

export interface Asked {
  readonly method: "GET" | "POST"
  readonly path: string
  readonly secret: string
  readonly body?: object
  readonly headers?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

export const send = (place: Place, { method, path, secret, body, headers, signal }: Asked): Promise<Response> =>
  fetch(`${place.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${secret}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal
  })

export interface Problem {
  readonly status: number
  readonly code: string
  /** The client may ask again. */
  readonly passes: boolean
  readonly retryAfterMs: number
  readonly jobId: string | null
}

/** A refusal as every route tells it; `code` is empty when the answer has none. */
export const problemOf = async (response: Response): Promise<Problem> => {
  const text = await response.text()
  return {
    status: response.status,
    code: codeIn(text),
    passes:
      response.headers.get("x-should-retry") === "true" ||
      (response.headers.get("x-should-retry") === null && PASSING.has(response.status)),
    retryAfterMs:
      Number(response.headers.get("retry-after-ms") ?? Number(response.headers.get("retry-after") ?? 0) * 1000) || 0,
    jobId: response.headers.get("x-job-id")
  }
}

const PASSING = new Set([408, 409, 429, 503])

export const codeIn = (text: string): string => {
  try {
    const { error } = JSON.parse(text) as { readonly error?: { readonly code?: unknown } }
    return typeof error?.code === "string" ? error.code : ""
  } catch {
    return ""
  }
}

/** Codes by which a job's own end is told. */
export const JOB_ENDS: ReadonlySet<string> = new Set([
  "job_failed",
  "job_cancelled",
  "job_timed_out",
  "job_expired",
  "job_rejected"
])

/** The connection could not be made, went, or was given up: what was asked may have happened. */
export const isBroken = (cause: unknown): boolean =>
  (cause instanceof TypeError && /fetch failed|terminated|other side closed|socket|network/i.test(cause.message)) ||
  (cause instanceof Error && (cause.name === "AbortError" || cause.name === "TimeoutError"))

/** Events until the stream is over; aborts when nothing came for so long, heartbeats included. */
export const eventsOf = async function* (
  response: Response,
  controller: AbortController,
  silenceMs: number
): AsyncGenerator<SseEvent, void> {
  let timer = setInterval(() => controller.abort(), silenceMs)
  const alive = () => {
    clearInterval(timer)
    timer = setInterval(() => controller.abort(), silenceMs)
  }
  try {
    yield* sseEvents(watched(response, alive))
  } finally {
    clearInterval(timer)
  }
}

/** The same response, with a word for every chunk that arrives: comments are no events, and still a sign of life. */
const watched = (response: Response, alive: () => void): Response => {
  const { body } = response
  if (body === null) return response
  const watch = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, controller) => {
      alive()
      controller.enqueue(chunk)
    }
  })
  return new Response(body.pipeThrough(watch))
}
