/**
 * The sending side of one session: numbers the frames and says when the socket has taken enough. It never refuses a
 * frame, since few of them may be dropped; whoever sends pieces asks `writable` first and waits, so what is buffered
 * stays bounded.
 */
import { WebSocket } from "ws"
import type { AgentFrame } from "../schemas/AgentFrame.ts"

/** Bytes that may wait in the socket before pieces wait in their attempts instead. */
export const OUTGOING_BYTES_MAX = 256 * 1024

export interface Wire {
  /** The number the frame got; a frame for a socket that is closing goes nowhere. */
  readonly send: (frame: AgentFrame) => number
  /** The same for a frame that is JSON text already. */
  readonly sendText: (frame: string) => number
  readonly writable: () => boolean
}

/** `onWritable` is called each time the socket has emptied to half of its bound after it was full. */
export const make = (socket: WebSocket, onWritable: () => void): Wire => {
  let number = 0
  let full = false
  const flushed = (): void => {
    if (!full || socket.bufferedAmount > OUTGOING_BYTES_MAX / 2) return
    full = false
    onWritable()
  }
  const sendText = (frame: string): number => {
    number += 1
    if (socket.readyState === WebSocket.OPEN) {
      socket.send(`{"n":${number},"frame":${frame}}`, flushed)
      full ||= socket.bufferedAmount > OUTGOING_BYTES_MAX
    }
    return number
  }
  return { sendText, send: (frame) => sendText(JSON.stringify(frame)), writable: () => !full }
}
