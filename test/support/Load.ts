/**
 * Customers who go on asking whatever happens to the daemon: streams that are read on after each break, jobs that are submitted and followed,
 * and answers that are waited for. Each job that was accepted is kept, with what must come out.
 */
import type { StatusView } from "../../src/schemas/openai/JobView.ts"
import { ask, type Daemon, open } from "./Daemon.ts"
import { beginReading, type Ended, isBroken, readOn, type Reading, takePiece } from "./Reader.ts"
import type { Reign } from "./Reign.ts"
import { sseEvents } from "./Sse.ts"
import { answerTo, type ChatBody, chatBody } from "./Texts.ts"
import { until } from "./Until.ts"

export type Kind = "stream" | "polling" | "sync"

/** A job that the daemon said yes to. */
export interface Accepted {
  readonly kind: Kind
  readonly body: ChatBody
  readonly reading: Reading
  readonly ended: Ended
}

export interface Load {
  readonly accepted: ReadonlyArray<Accepted>
  readonly pieces: () => number
  /** Resolves when so many more pieces were read. */
  readonly morePieces: (count: number) => Promise<void>
  /** No new jobs; resolves when those that were accepted are over. */
  readonly finish: () => Promise<void>
}

export interface LoadOptions {
  readonly clients: number
  /** A number from 0 to below 1. */
  readonly draw: () => number
  readonly wordsMin: number
}

export const startLoad = (reign: Pick<Reign, "where">, { clients, draw, wordsMin }: LoadOptions): Load => {
  const accepted: Array<Accepted> = []
  const waiting: Array<{ readonly at: number; readonly resolve: () => void }> = []
  let pieces = 0
  const state = { stopped: false }
  let asked = 0
  const onPiece = () => {
    pieces += 1
    for (const wish of waiting.splice(0)) {
      if (wish.at <= pieces) wish.resolve()
      else waiting.push(wish)
    }
  }
  const oneJob = async (client: number): Promise<void> => {
    const body = chatBody(`client ${client}, question ${++asked}`, { min_tokens: wordsMin })
    const kind = kindOf(draw())
    const daemon = await reign.where()
    const reading = await brokenIsNull(submit(daemon, kind, body, onPiece))
    if (reading === null) return
    accepted.push({ kind, body, reading, ended: await readOn(reading, reign.where, onPiece) })
  }
  const client = async (number: number): Promise<void> => {
    while (!state.stopped) await oneJob(number)
  }
  const all = Promise.all(Array.from({ length: clients }, (_, number) => client(number)))
  // A client that gave up fails whoever waits for the load.
  const failed = all.then(() => new Promise<never>(() => undefined))
  return {
    accepted,
    pieces: () => pieces,
    morePieces: (count) =>
      Promise.race([new Promise<void>((resolve) => waiting.push({ at: pieces + count, resolve })), failed]),
    finish: async () => {
      state.stopped = true
      await all
    }
  }
}

const kindOf = (drawn: number): Kind => (drawn < 0.6 ? "stream" : drawn < 0.85 ? "polling" : "sync")

/** Null: nobody said yes, or nobody heard it. */
const brokenIsNull = async <A>(promise: Promise<A>): Promise<A | null> => {
  try {
    return await promise
  } catch (cause) {
    if (isBroken(cause)) return null
    throw cause
  }
}

/** Null when it was refused for a reason that passes. */
const submit = async (daemon: Daemon, kind: Kind, body: ChatBody, onPiece: () => void): Promise<Reading | null> => {
  const stream = kind === "stream" ? { stream: true } : {}
  const headers: Record<string, string> = kind === "polling" ? { prefer: "respond-async" } : {}
  const response = await open(daemon, "POST", "/v1/chat/completions", { body: { ...body, ...stream }, headers })
  if (response.status === 503) {
    await response.arrayBuffer()
    await until("a node that serves", () => isServed(daemon))
    return null
  }
  const jobId = response.headers.get("x-job-id")
  if (response.status >= 300 || jobId === null) {
    throw new Error(`${kind}: ${response.status} ${await response.text()}`)
  }
  const reading = beginReading(jobId)
  if (kind === "stream") await readChunks(reading, response, onPiece)
  else await response.arrayBuffer()
  return reading
}

const isServed = async (daemon: Daemon): Promise<boolean> => {
  const { body } = await ask<StatusView>(daemon, "GET", "/status")
  return body.models.some(({ id, nodes }) => id === "sim-small" && nodes > 0)
}

interface Chunk {
  readonly choices: ReadonlyArray<{
    readonly index: number
    readonly delta: { readonly content?: string }
    readonly finish_reason: "stop" | "length" | null
  }>
}

/** Reads until it is over or breaks; what was read stands. Chunks with an id are pieces. */
const readChunks = async (reading: Reading, response: Response, onPiece: () => void): Promise<void> => {
  const take = async () => {
    for await (const { id, data } of sseEvents(response)) {
      if (id === "" || data === "[DONE]") continue
      const [choice] = (JSON.parse(data) as Chunk).choices
      if (choice === undefined) continue
      const { index, delta, finish_reason: finish } = choice
      const piece = { seq: Number(id), choice: index, text: delta.content ?? "" }
      takePiece(reading, finish === null ? piece : { ...piece, finish })
      onPiece()
    }
  }
  await brokenIsNull(take())
}

/** What is wrong with the answers: nothing for a job that ended otherwise, for its text was never whole. */
export const wrongAnswers = (accepted: ReadonlyArray<Accepted>): ReadonlyArray<string> =>
  accepted.flatMap(({ body, reading, ended, kind }) => {
    const expected = answerTo(body)
    const text = reading.texts[0] ?? ""
    const said = `${kind} ${reading.jobId} (${ended.state}, ${reading.connections} connections)`
    if (ended.state !== "completed") {
      return expected.text.startsWith(text) ? [] : [`${said}: "${text}" is no beginning of "${expected.text}"`]
    }
    if (text !== expected.text) return [`${said}: "${text}" instead of "${expected.text}"`]
    return ended.usage.output_tokens === expected.pieces.length
      ? []
      : [`${said}: ${ended.usage.output_tokens} tokens billed for ${expected.pieces.length} pieces`]
  })
