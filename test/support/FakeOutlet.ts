/**
 * A session without a socket: logs the frames that attempts send, and is as full as the test says.
 */
import { fresh, type SessionKey } from "../../src/agent/SessionKey.ts"
import type { Outlet } from "../../src/agent/Outlet.ts"
import type { AgentFrame } from "../../src/schemas/AgentFrame.ts"
import { type FrameLog, make as makeLog } from "./FrameLog.ts"

export interface FakeOutlet extends Outlet {
  readonly frames: FrameLog<AgentFrame>
  readonly key: SessionKey
  full: boolean
  lost: number
}

export const make = (): FakeOutlet => {
  const frames = makeLog<AgentFrame>()
  const key = fresh()
  let number = 0
  const sendText = (text: string): number => {
    frames.add(JSON.parse(text) as AgentFrame)
    return ++number
  }
  const outlet: FakeOutlet = {
    frames,
    key,
    full: false,
    lost: 0,
    wire: { sendText, send: (frame) => sendText(JSON.stringify(frame)), writable: () => !outlet.full },
    signResult: key.signResult,
    lose: () => void (outlet.lost += 1)
  }
  return outlet
}
