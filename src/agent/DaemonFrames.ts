/**
 * Reads a frame from a daemon. Written by hand because it runs for every frame of every job: what is checked is what
 * the agent relies on, and a body for the runtime is taken as it is. The law is `DaemonFrame` in schemas; a test holds
 * the two together.
 */
import type * as Schema from "effect/Schema"
import type { DaemonFrame } from "../schemas/AgentFrame.ts"
import { fieldsOf, parsed } from "./JsonFields.ts"

/** The frame in this text, or null when it is none that an agent knows. */
export const readDaemonFrame = (text: string): DaemonFrame | null => {
  const fields = fieldsOf(parsed(text))
  if (fields === null) return null
  const tag = fields["_tag"]
  const check = typeof tag === "string" && Object.hasOwn(CHECKS, tag) ? CHECKS[tag as DaemonFrame["_tag"]] : undefined
  return check?.(fields) === true ? (fields as unknown as DaemonFrame) : null
}

type Fields = Schema.JsonObject
const int = (value: Schema.Json | undefined): value is number => Number.isSafeInteger(value)
const natural = (value: Schema.Json | undefined): value is number => int(value) && value >= 0
const text = (value: Schema.Json | undefined): value is string => typeof value === "string"
const ofJob = (f: Fields): boolean => text(f["jobId"]) && f["jobId"].startsWith("job_") && int(f["attempt"])
const ofAttempt = (f: Fields): boolean => ofJob(f) && int(f["epoch"])

const ENDPOINTS: ReadonlySet<unknown> = new Set(["chat", "completions", "embeddings"])
const STATUSES: ReadonlySet<unknown> = new Set(["accepted", "stale", "refused"])

const isPrefix = (value: Schema.Json | undefined): boolean =>
  Array.isArray(value) &&
  value.every((part: Schema.Json) => {
    const fields = fieldsOf(part)
    return fields !== null && natural(fields["choice"]) && text(fields["text"])
  })

const orNull = (value: Schema.Json | undefined, check: (value: Schema.Json | undefined) => boolean): boolean =>
  value === null || check(value)

const areRestrictions = (value: Schema.Json | undefined): boolean =>
  value === undefined ||
  (Array.isArray(value) &&
    value.every((each: Schema.Json) => {
      const fields = fieldsOf(each)
      return fields !== null && text(fields["kind"]) && orNull(fields["reason"], text) && orNull(fields["until"], int)
    }))

const CHECKS: Readonly<Record<DaemonFrame["_tag"], (f: Fields) => boolean>> = {
  Challenge: (f) => int(f["protocol"]) && text(f["serverId"]) && text(f["nonce"]) && int(f["at"]),
  Registered: (f) => text(f["sessionId"]) && text(f["digest"]) && int(f["heartbeatMs"]) && f["heartbeatMs"] > 0,
  Refused: (f) => text(f["code"]) && text(f["message"]) && int(f["at"]),
  Assign: (f) =>
    ofAttempt(f) &&
    text(f["lease"]) &&
    ENDPOINTS.has(f["endpoint"]) &&
    fieldsOf(f["body"]) !== null &&
    text(f["salt"]) &&
    natural(f["firstSeq"]) &&
    f["firstSeq"] > 0 &&
    isPrefix(f["prefix"]) &&
    natural(f["outputTokensMax"]) &&
    natural(f["deadlineMs"]),
  Resume: (f) => ofAttempt(f) && int(f["fromSeq"]),
  Acknowledge: (f) => ofJob(f) && int(f["seq"]),
  Cancel: (f) => ofJob(f) && text(f["code"]),
  Settled: (f) => ofJob(f) && STATUSES.has(f["status"]),
  HeartbeatSeen: (f) => text(f["digest"]) && int(f["at"]) && areRestrictions(f["restrictions"]),
  Drain: () => true
}
