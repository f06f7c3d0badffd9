/**
 * A WebSocket as a node's session sees it. Both directions are bounded: the peer is not read while its frames wait, and what it does not read
 * ends the conversation. Binary and oversized frames never reach the session.
 */
import * as Effect from "effect/Effect"
import type { WebSocket } from "ws"
import type { AgentSocket } from "../actors/node/NodeSupervisor.ts"
import { CLOSE } from "../schemas/AgentFrame.ts"

/** Bytes that may wait to be written before `send` says no. */
export const BUFFER_BYTES_MAX = 4 * 1024 * 1024
/** Frames that may wait to be received before the socket is not read any more. */
const WAITING_MAX = 256
const CLOSE_PATIENCE = "2 seconds"

export const make = (socket: WebSocket, address: string): AgentSocket => {
  let waiting: Array<string> = []
  let wake: (() => void) | null = null
  let closed = false
  const news = () => {
    const resume = wake
    wake = null
    resume?.()
  }
  socket.on("message", (data, isBinary) => {
    if (isBinary) return void socket.close(CLOSE.bad_frame, "bad_frame")
    waiting.push(textOf(data))
    if (waiting.length >= WAITING_MAX) socket.pause()
    news()
  })
  socket.on("close", () => {
    closed = true
    news()
  })
  // A protocol error is followed by close, with the code that the library chose for it.
  socket.on("error", () => {})
  const taken = (): ReadonlyArray<string> | null => {
    if (waiting.length === 0) return closed ? null : []
    const frames = waiting
    waiting = []
    if (socket.isPaused) socket.resume()
    return frames
  }
  return {
    address,
    receive: Effect.callback((resume) => {
      const answer = () => {
        const frames = taken()
        if (frames !== null && frames.length === 0) return void (wake = answer)
        resume(Effect.succeed(frames))
      }
      answer()
      return Effect.sync(() => void (wake = null))
    }),
    send: (text) => {
      if (socket.readyState !== socket.OPEN || socket.bufferedAmount > BUFFER_BYTES_MAX) return false
      socket.send(text)
      return true
    },
    close: (code, reason) => closeOf(socket, code, reason)
  }
}

/** Says goodbye and waits for the answer; a peer that gives none is cut off. */
const closeOf = (socket: WebSocket, code: number, reason: string): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (socket.readyState === socket.CLOSED) return resume(Effect.void)
    const done = () => resume(Effect.void)
    socket.once("close", done)
    // A paused socket would never see the peer's answer.
    if (socket.isPaused) socket.resume()
    socket.close(code, reason.slice(0, 120))
    return Effect.sync(() => void socket.off("close", done))
  }).pipe(Effect.timeoutOrElse({ duration: CLOSE_PATIENCE, orElse: () => Effect.sync(() => socket.terminate()) }))

const textOf = (data: Buffer | ArrayBuffer | Array<Buffer>): string => {
  if (Buffer.isBuffer(data)) return data.toString("utf8")
  return Array.isArray(data) ? Buffer.concat(data).toString("utf8") : Buffer.from(data).toString("utf8")
}
