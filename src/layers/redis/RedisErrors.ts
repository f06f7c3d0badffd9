/**
 * What a failed command means. A server that is not there, does not answer or cannot serve now is an Outage; a command that it cannot make sense of is a
 * broken promise of ours. What was sent is no part of either: the driver hangs the arguments on its errors, and those hold answers of models.
 */
import * as Effect from "effect/Effect"
import { Outage } from "../Outage.ts"

/** Answers of a server that works and cannot serve: starting, full, a replica, someone's slow script, rights that an operator can set right. */
const LATER = new Set([
  "LOADING",
  "BUSY",
  "OOM",
  "READONLY",
  "MASTERDOWN",
  "CLUSTERDOWN",
  "TRYAGAIN",
  "NOREPLICAS",
  "MISCONF",
  "NOSCRIPT",
  "NOAUTH",
  "WRONGPASS",
  "NOPERM"
])
const CROWDED = "ERR max number of clients reached"

export const isTimeout = (cause: unknown): boolean =>
  cause instanceof Error && cause.message.includes("Command timed out")

/** The server understood nothing of it. */
const isOurFault = (cause: unknown): boolean => {
  if (!(cause instanceof Error) || cause.name !== "ReplyError") return false
  const [code = ""] = cause.message.split(" ", 1)
  return !LATER.has(code) && !cause.message.startsWith(CROWDED)
}

const bare = (cause: unknown): Error => new Error(cause instanceof Error ? cause.message : String(cause))

export const outageOf = (of: string, during: string, cause: unknown): Outage =>
  new Outage({ of, during, cause: bare(cause) })

export const failureOf = (of: string, during: string, cause: unknown): Effect.Effect<never, Outage> =>
  isOurFault(cause)
    ? Effect.die(new Error(`${of}.${during}: ${bare(cause).message}`))
    : Effect.fail(outageOf(of, during, cause))
