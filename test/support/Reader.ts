/**
 * A client that reads a job's pieces to the end, however often its daemon dies in between, and that takes nothing on trust: a piece out of its
 * turn, twice, or left out is a failure at once.
 */
import type { TokenEvent } from "../../src/schemas/TokenEvent.ts"
import { open } from "./Daemon.ts"
import { sseEvents } from "./Sse.ts"

export interface Ended {
  readonly state: string
  readonly usage: { readonly prompt_tokens: number; readonly output_tokens: number; readonly total_tokens: number }
  readonly cost: string
  readonly error: { readonly code: string; readonly cause: string | null } | null
}

export interface Reading {
  readonly jobId: string
  /** The last piece that was read. */
  position: number
  /** Text by choice. */
  readonly texts: Array<string>
  readonly finishes: Array<string | undefined>
  /** Connections it took. */
  connections: number
  ended: Ended | null
}

export const beginReading = (jobId: string, position = 0): Reading => ({
  jobId,
  position,
  texts: [],
  finishes: [],
  connections: 0,
  ended: null
})

export type Piece = Pick<TokenEvent, "seq" | "choice" | "text" | "finish">

export const takePiece = (reading: Reading, { seq, choice, text, finish }: Piece): void => {
  if (seq !== reading.position + 1) {
    throw new Error(`job ${reading.jobId}: piece ${seq} came after piece ${reading.position}`)
  }
  if (reading.finishes[choice] !== undefined)
    throw new Error(`job ${reading.jobId}: a piece after the end of choice ${choice}`)
  reading.position = seq
  reading.texts[choice] = (reading.texts[choice] ?? "") + text
  reading.finishes[choice] = finish
}

/** Where a reader finds the daemon now; waits while there is none. */
export type Where = () => Promise<{ readonly url: string; readonly key: string }>

/** Reads on to the end over as many connections as it takes. `onPiece` hears of each piece. */
export const readOn = async (reading: Reading, where: Where, onPiece: () => void = () => undefined): Promise<Ended> => {
  while (reading.ended === null) {
    const place = await where()
    try {
      await readOnce(reading, place, onPiece)
    } catch (cause) {
      if (!isBroken(cause)) throw cause
    }
  }
  return reading.ended
}

const readOnce = async (reading: Reading, place: Awaited<ReturnType<Where>>, onPiece: () => void): Promise<void> => {
  const headers = reading.position === 0 ? {} : { "last-event-id": String(reading.position) }
  const response = await open(place, "GET", `/v1/jobs/${reading.jobId}/events`, { headers })
  reading.connections += 1
  if (response.status === 503) return void (await response.arrayBuffer())
  if (response.status !== 200) {
    throw new Error(
      `job ${reading.jobId}: events from ${reading.position} are ${response.status} ${await response.text()}`
    )
  }
  for await (const { event, id, data } of sseEvents(response)) {
    if (event === "ended") {
      reading.ended = JSON.parse(data) as Ended
      return
    }
    if (event === "behind") return
    for (const piece of JSON.parse(data) as ReadonlyArray<Piece>) {
      takePiece(reading, piece)
      onPiece()
    }
    if (id !== String(reading.position))
      throw new Error(`job ${reading.jobId}: event id ${id} at piece ${reading.position}`)
  }
}

/** The connection could not be made, or went: what a killed daemon looks like from outside. */
export const isBroken = (cause: unknown): boolean =>
  cause instanceof TypeError && /fetch failed|terminated|other side closed|socket/i.test(cause.message)
