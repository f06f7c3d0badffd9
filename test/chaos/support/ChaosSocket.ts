/**
 * The road between one agent and one daemon, with the faults of a network on it: the session breaks at a frame, frames are held up, and (what no
 * TCP does, but a broken agent may) lost, repeated or turned round. Each frame is a crossing of `Frame.<its tag>`.
 */
import { Effect } from "effect"
import type { AgentSocket } from "../../../src/actors/node/AgentSocket.ts"
import type { AgentFrame, DaemonFrame } from "../../../src/schemas/AgentFrame.ts"
import type { DoorHouse } from "./Door.ts"

export interface SocketHouse extends DoorHouse {
  /** The connection breaks without a word. */
  readonly cut: () => void
  readonly sent: (frame: DaemonFrame) => void
  readonly heard: (frame: AgentFrame) => void
  /** False: the agent does not hear of it. */
  readonly hears: (frame: DaemonFrame) => boolean
}

export const disturbed = (house: SocketHouse, socket: AgentSocket): AgentSocket => {
  const { process } = house
  /** What is held up stays in order: everything after it waits too. */
  let delayedUntil = 0
  let waiting = 0
  const deliver = (text: string, frame: DaemonFrame): boolean => {
    if (!house.hears(frame)) return true
    return socket.send(text)
  }
  const send = (text: string): boolean => {
    if (process.dead || process.isFrozen) return false
    const frame = JSON.parse(text) as DaemonFrame
    const fault = house.crossings.cross(`Frame.${frame._tag}`)
    if (fault?.kind === "crashBefore") {
      house.crash(`Frame.${frame._tag} crashBefore`)
      return false
    }
    house.sent(frame)
    if (fault?.kind === "cut") {
      house.cut()
      return true
    }
    if (fault?.kind === "crashAfter") {
      const told = deliver(text, frame)
      house.crash(`Frame.${frame._tag} crashAfter`)
      return told
    }
    const now = house.now()
    if (fault?.kind === "slowBefore") delayedUntil = Math.max(delayedUntil, now) + fault.ms
    if (delayedUntil <= now && waiting === 0) return deliver(text, frame)
    waiting += 1
    house.later(
      delayedUntil - now,
      Effect.sync(() => {
        waiting -= 1
        deliver(text, frame)
      })
    )
    return true
  }
  return { ...socket, send, receive: receiving(house, socket) }
}

/** In order, one at a time, and never for a daemon that is gone. */
const receiving = (house: SocketHouse, socket: AgentSocket): AgentSocket["receive"] => {
  const { process } = house
  const once: AgentSocket["receive"] = Effect.gen(function* () {
    const texts = yield* socket.receive
    // The socket resumes whoever waits on its own stack: first back to the daemon's.
    yield* Effect.yieldNow
    yield* process.stand
    if (texts === null) return null
    const came: Array<string> = []
    let swapped: string | null = null
    for (const text of texts) {
      const { frame } = JSON.parse(text) as { readonly frame: AgentFrame }
      house.heard(frame)
      const fault = house.crossings.cross(`Frame.${frame._tag}`)
      switch (fault?.kind) {
        case "crashBefore":
        case "crashAfter":
          house.crash(`Frame.${frame._tag} ${fault.kind}`)
          return yield* Effect.never
        case "cut":
          house.cut()
          return null
        case "drop":
          continue
        case "repeat":
          came.push(text)
          break
        case "slowBefore":
          yield* process.pause(fault.ms)
          break
        case "swap":
          swapped = text
          continue
        default:
      }
      came.push(text)
      if (swapped !== null) came.push(swapped)
      swapped = null
    }
    if (swapped !== null) came.push(swapped)
    return came.length > 0 ? came : yield* Effect.suspend(() => once)
  })
  return once
}
