/** What a session needs of a WebSocket; the listener makes it from a real one. */
import type * as Effect from "effect/Effect"

/** A WebSocket as the session sees it. */
export interface AgentSocket {
  /** Text frames, as they come; null when the peer is gone. A binary or oversized frame never reaches it. */
  readonly receive: Effect.Effect<ReadonlyArray<string> | null>
  /** Queues a text frame; false when more than the bound waits to be written, or the socket is closed. */
  readonly send: (text: string) => boolean
  readonly close: (code: number, reason: string) => Effect.Effect<void>
  /** Of the peer, for limits and logs. */
  readonly address: string
}
