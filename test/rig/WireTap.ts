/**
 * Listens in on every WebSocket of this process, below the agent: notes the results that are sent and what the daemon settles, and for a node that
 * repeats itself sends some frames twice. Patches the library, so it belongs into a process of its own.
 */
import { WebSocket } from "ws"
import type { Dice } from "../chaos/support/Dice.ts"

export interface Heard {
  /** Whose socket it is: what its address says after `node=`. */
  readonly result: (
    node: string,
    frame: { readonly jobId: string; readonly attempt: number; readonly epoch: number; readonly outputTokens: number }
  ) => void
  readonly settled: (
    node: string,
    frame: { readonly jobId: string; readonly attempt: number; readonly status: "accepted" | "stale" | "refused" }
  ) => void
}

const REPEATS = 0.01

const nodeOf = (socket: WebSocket): URLSearchParams => new URL(socket.url).searchParams

export const tapSockets = (heard: Heard, dice: Dice): void => {
  const send = WebSocket.prototype.send
  const patched = function (this: WebSocket, data: string, ...rest: ReadonlyArray<unknown>): void {
    const about = nodeOf(this)
    if (data.includes('"_tag":"Result"')) heard.result(about.get("node") ?? "", JSON.parse(data).frame)
    Reflect.apply(send, this, [data, ...rest])
    if (about.has("repeats") && dice.chance(REPEATS)) Reflect.apply(send, this, [data])
  }
  WebSocket.prototype.send = patched as typeof send
  const emit = WebSocket.prototype.emit
  WebSocket.prototype.emit = function (
    this: WebSocket,
    event: string | symbol,
    ...args: ReadonlyArray<unknown>
  ): boolean {
    if (event === "message") hear(this, String(args[0]), heard)
    return Reflect.apply(emit, this, [event, ...args])
  }
}

const hear = (socket: WebSocket, text: string, heard: Heard): void => {
  if (!text.includes('"_tag":"Settled"')) return
  heard.settled(nodeOf(socket).get("node") ?? "", JSON.parse(text))
}
