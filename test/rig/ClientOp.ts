/**
 * One operation of a client from its question to its end, in one of the ways in which clients ask: a stream read on after each break, an answer waited for,
 * a job that is polled, cancelled, left alone or asked for several times at once. Everything that is seen is written to the client's log.
 */
import { scheduler } from "node:timers/promises"
import { isTerminal, type JobState } from "../../src/schemas/JobState.ts"
import { type Answer, type OpOptions, SILENCE_MS } from "./Asking.ts"
import { type Ended, type Note, type Reading, readToEnd } from "./ClientReading.ts"
import { isBroken, problemOf, send } from "./ClientWire.ts"
import { WAYS } from "./ClientWays.ts"
import { SEEN } from "./SdkWays.ts"

/** How long a client goes on asking. */
const PATIENCE_MS = 240_000
const PAUSE_MS = 250
const PAUSE_MAX_MS = 1_000
const PROBES = 0.03

export const runOp = async (options: OpOptions): Promise<void> => {
  const { write } = options
  const from = Date.now()
  const until = from + PATIENCE_MS
  const note = noteOf(options)
  const found = await ask(options, until, note)
  if (found === null) return write({ type: "info", why: "nobody answered in time" })
  if (found._tag === "unknown")
    return write({ type: "info", why: "the connection went, and there is no key to ask again with" })
  if (found._tag === "refused") return write({ type: "fail", status: found.problem.status, code: found.problem.code })
  const { jobId, reading, whole } = found.outcome
  if (options.dice.chance(PROBES)) await probe(options, jobId)
  const ended = found.outcome.ended ?? (await endOf(options, jobId, reading, whole, until, note))
  if (ended === null) return write({ type: "info", why: `${jobId} did not end while its client waited` })
  const finished = ended.state === "completed"
  write({
    type: "ok",
    jobId,
    state: ended.state,
    cause: ended.error?.cause ?? null,
    texts: [...reading.texts].map((text) => text ?? ""),
    finishes: [...reading.finishes].map((finish) => finish ?? null),
    whole: finished,
    outputTokens: ended.usage.output_tokens,
    firstMs: reading.firstAt === null ? null : reading.firstAt - from,
    totalMs: Date.now() - from
  })
}

const noteOf = ({ write }: OpOptions): Note => ({
  fault: (rule, what) => write({ type: "fault", rule, what }),
  broke: (daemon, doing, position) => write({ type: "break", daemon, doing, position }),
  resumed: (daemon, position, gapMs) => write({ type: "resumed", daemon, position, gapMs }),
  refused: (daemon, status, code, tookMs) => write({ type: "refused", daemon, status, code, tookMs })
})

/** Asks until somebody says yes or a definite no. */
const ask = async (options: OpOptions, until: number, note: Note): Promise<Exclude<Answer, never> | null> => {
  const { kind, key } = options
  for (let tries = 0; Date.now() < until; tries++) {
    const place = options.anywhere()
    const from = Date.now()
    const answer = await WAYS[kind](options, place, note).catch((cause: unknown): Answer => {
      if (!isBroken(cause)) throw cause
      note.broke(place.name, kind, 0)
      return { _tag: "unknown" }
    })
    if (answer._tag === "job") return answer
    if (answer._tag === "unknown" && key === null) return answer
    let pauseMs = PAUSE_MS
    if (answer._tag === "refused") {
      const { problem } = answer
      if (!problem.passes) return answer
      note.refused(place.name, problem.status, problem.code, Date.now() - from)
      pauseMs = Math.min(PAUSE_MAX_MS, Math.max(PAUSE_MS, problem.retryAfterMs))
    }
    await scheduler.wait(pauseMs * (1 + options.dice.next()))
  }
  return null
}

interface View {
  readonly state: JobState
  readonly usage: { readonly output_tokens: number }
  readonly error: Ended["error"]
}

/** How the job ended: a whole answer is only confirmed, everything else is read on. */
const endOf = async (
  options: OpOptions,
  jobId: string,
  reading: Reading,
  whole: boolean,
  until: number,
  note: Note
): Promise<Ended | null> => {
  const { customer, anywhere } = options
  if (!whole) {
    const ended = await readToEnd(reading, { jobId, secret: customer.secret, anywhere, until, note })
    const seen = SEEN.get(reading) ?? []
    for (const [choice, text] of seen.entries()) {
      if (ended !== null && !(reading.texts[choice] ?? "").startsWith(text ?? ""))
        note.fault("stream", `choice ${choice} began in another way when it was read again`)
    }
    return ended
  }
  while (Date.now() < until) {
    const place = anywhere()
    try {
      const response = await send(place, {
        method: "GET",
        path: `/v1/jobs/${jobId}`,
        secret: customer.secret,
        signal: AbortSignal.timeout(SILENCE_MS)
      })
      if (response.status === 200) {
        const view = (await response.json()) as View
        if (view.state !== "completed") note.fault("answer", `${jobId} was answered whole and is ${view.state}`)
        if (isTerminal(view.state)) return view
      } else {
        const { status, code } = await problemOf(response)
        note.refused(place.name, status, code, 0)
        if (status !== 503 && status !== 429)
          note.fault("answer", `${jobId} was answered whole and is refused: ${status} ${code}`)
      }
    } catch (cause) {
      if (!isBroken(cause)) throw cause
      note.broke(place.name, "view", reading.position)
    }
    await scheduler.wait(PAUSE_MS)
  }
  return null
}

/** A stranger looks at the job: to him it is not there. */
const probe = async ({ anywhere, stranger, write }: OpOptions, jobId: string): Promise<void> => {
  try {
    const response = await send(anywhere(), {
      method: "GET",
      path: `/v1/jobs/${jobId}`,
      secret: stranger.secret,
      signal: AbortSignal.timeout(SILENCE_MS)
    })
    await response.arrayBuffer()
    if (response.status !== 429)
      write({ type: "probe", what: `a stranger's look at ${jobId}`, status: response.status, expected: 404 })
  } catch (cause) {
    if (!isBroken(cause)) throw cause
  }
}
