/**
 * What a client holds of an answer, and reading on from there through any daemon to the end. A piece out of its turn is written down as a fault of the system
 * and not thrown: the run goes on and the checker judges.
 */
import { scheduler } from "node:timers/promises"
import { eventsOf, isBroken, type Place, problemOf, send } from "./ClientWire.ts"

export interface Reading {
  /** The last piece that was read. */
  position: number
  readonly texts: Array<string>
  readonly finishes: Array<string | null>
  firstAt: number | null
  /** When the connection went while pieces were still due. */
  brokeAt: number | null
}

export interface Ended {
  readonly state: string
  readonly usage: { readonly output_tokens: number }
  readonly error: { readonly code: string; readonly cause: string | null } | null
}

export interface Piece {
  readonly seq: number
  readonly choice: number
  readonly text: string
  readonly finish?: string
}

/** What happens on the way, for the log. */
export interface Note {
  readonly fault: (rule: "stream" | "answer", what: string) => void
  readonly broke: (daemon: string, doing: string, position: number) => void
  readonly resumed: (daemon: string, position: number, gapMs: number) => void
  readonly refused: (daemon: string, status: number, code: string, tookMs: number) => void
}

export const beginReading = (): Reading => ({ position: 0, texts: [], finishes: [], firstAt: null, brokeAt: null })

export const takePiece = (reading: Reading, { seq, choice, text, finish }: Piece, daemon: string, note: Note): void => {
  // The end of a choice may share the number of its last text.
  const shares = seq === reading.position && text === "" && finish !== undefined
  if (seq !== reading.position + 1 && !shares) note.fault("stream", `piece ${seq} came after piece ${reading.position}`)
  if ((reading.finishes[choice] ?? null) !== null) note.fault("stream", `a piece after the end of choice ${choice}`)
  const now = Date.now()
  reading.firstAt ??= now
  if (reading.brokeAt !== null) {
    note.resumed(daemon, reading.position, now - reading.brokeAt)
    reading.brokeAt = null
  }
  reading.position = seq
  reading.texts[choice] = (reading.texts[choice] ?? "") + text
  reading.finishes[choice] = finish ?? null
}

/** The connection went: from now on a gap is measured. */
export const breakAt = (reading: Reading, daemon: string, doing: string, note: Note): void => {
  reading.brokeAt ??= Date.now()
  note.broke(daemon, doing, reading.position)
}

export interface Follow {
  readonly jobId: string
  readonly secret: string
  readonly anywhere: () => Place
  /** Epoch ms after which it is given up. */
  readonly until: number
  readonly note: Note
}

const SILENCE_MS = 17_000
const PAUSE_MS = 300
/** Times that a job which was accepted may be unknown before it counts: a daemon may have come up without its stores. */
const UNKNOWN_MAX = 3

/** Reads on to the end; null when it was given up. */
export const readToEnd = async (reading: Reading, follow: Follow): Promise<Ended | null> => {
  let unknown = 0
  while (Date.now() < follow.until) {
    const place = follow.anywhere()
    try {
      const found = await readOnce(reading, place, follow)
      if (found === "unknown" && ++unknown >= UNKNOWN_MAX) return null
      if (typeof found === "object") return found
    } catch (cause) {
      if (!isBroken(cause)) throw cause
      breakAt(reading, place.name, "events", follow.note)
    }
    await scheduler.wait(PAUSE_MS)
  }
  return null
}

const readOnce = async (
  reading: Reading,
  place: Place,
  { jobId, secret, note }: Follow
): Promise<Ended | "unknown" | "again"> => {
  const headers = { "last-event-id": String(reading.position) }
  const controller = new AbortController()
  const from = Date.now()
  const opening = setInterval(() => controller.abort(), SILENCE_MS)
  let response: Response
  try {
    response = await send(place, {
      method: "GET",
      path: `/v1/jobs/${jobId}/events`,
      secret,
      headers,
      signal: controller.signal
    })
  } finally {
    clearInterval(opening)
  }
  if (response.status !== 200) {
    const { status, code } = await problemOf(response)
    note.refused(place.name, status, code, Date.now() - from)
    if (status === 503 || status === 429) return "again"
    note.fault("answer", `events of ${jobId} from ${reading.position} are refused: ${status} ${code}`)
    return "unknown"
  }
  for await (const { event, id, data } of eventsOf(response, controller, SILENCE_MS)) {
    if (event === "ended") return JSON.parse(data) as Ended
    if (event === "behind") return "again"
    for (const piece of JSON.parse(data) as ReadonlyArray<Piece>) takePiece(reading, piece, place.name, note)
    if (id !== String(reading.position)) note.fault("stream", `event id ${id} at piece ${reading.position}`)
  }
  // The stream was over without an end: to be told so is a promise.
  breakAt(reading, place.name, "events without an end", note)
  return "again"
}
