/**
 * What follows the end of a session: nearly always another one, soon. A whole fleet may have lost the same daemon, so
 * the pause is drawn by chance; it is short the first time because a stream is waiting, and grows while sessions keep
 * failing.
 */
import { CLOSE } from "../schemas/AgentFrame.ts"
import { AgentFailed } from "./AgentFailed.ts"

export interface SessionEnd {
  /** The WebSocket close code; 1006 when the socket just went. */
  readonly closeCode: number
  readonly refused: { readonly code: string; readonly message: string; readonly at: number } | null
  readonly registered: boolean
}

const FIRST_MS = 750
const LAST_MS = 15_000
const LEAST_MS = 25

/** Milliseconds to wait after this many failed sessions in a row; `draw` is between 0 and 1. */
export const pauseMs = (failures: number, draw: number): number =>
  Math.round(LEAST_MS + draw * (Math.min(LAST_MS, FIRST_MS * 2 ** Math.min(failures, 10)) - LEAST_MS))

/** The daemon found fault with this agent: coming back at once would only be told the same. */
const FAULTS: ReadonlySet<number> = new Set([
  CLOSE.bad_frame,
  CLOSE.handshake_timeout,
  CLOSE.too_fast,
  CLOSE.out_of_order,
  CLOSE.frame_too_big,
  CLOSE.overloaded
])

/** Whether the session was good, so that the next pause is the short one again. */
export const wasGood = (end: SessionEnd): boolean => end.registered && !FAULTS.has(end.closeCode)

export const isSuperseded = ({ closeCode }: SessionEnd): boolean => closeCode === CLOSE.superseded

/**
 * A daemon that was slow to hear of a connection which its agent gave up long ago may take it for the later one, so the first times say nothing:
 * with another agent of the same key it goes on.
 */
const SUPERSEDED_MAX = 3

/** From inside nobody can tell whose clock is wrong, so the agent says what it sees and comes back until the two agree. */
const CLOCK_SKEW = "clock_skew"

/** What to tell the operator of a session that was refused for the difference of two clocks; null for any other end. */
export const clockWarning = ({ refused }: SessionEnd, now: number): string | null =>
  refused?.code === CLOCK_SKEW
    ? `this machine's clock and the daemon's are ${Math.round(Math.abs(now - refused.at) / 1000)} s apart; set the one that is wrong`
    : null

/** Why the agent must not come back, or null when it shall. `superseded`: sessions in a row that ended so, this one included. */
export const finalFailure = ({ closeCode, refused }: SessionEnd, superseded: number): AgentFailed | null => {
  const said = refused === null ? "" : ` The daemon says: ${refused.message}`
  if (refused?.code === "protocol") return failed("protocol", `The daemon speaks another protocol version.${said}`)
  switch (closeCode) {
    case CLOSE.unauthenticated:
      if (refused?.code === CLOCK_SKEW) return null
      return failed("unauthenticated", `The daemon did not accept this node's signature or key.${said}`)
    case CLOSE.wrong_environment:
      return failed(
        "wrong_environment",
        `The daemon serves another environment; check the URL and --environment.${said}`
      )
    case CLOSE.superseded:
      if (superseded < SUPERSEDED_MAX) return null
      return failed("superseded", "Another agent with the same key took over. Give each node a key of its own.")
    default:
      return null
  }
}

const failed = (code: AgentFailed["code"], message: string): AgentFailed => new AgentFailed({ code, message })
