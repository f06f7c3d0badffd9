/**
 * What detectors look at: windows over finished jobs and refused requests, of all namespaces, by index and bounded. A bounded answer is of the newest,
 * and whoever asks sees from it how far back it goes. Ids, codes and figures only.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { JobId, KeyId, NamespaceId, NodeId } from "../schemas/Ids.ts"
import type { Claim, Evaluation, JobRecord, SystemMetrics } from "../schemas/JobRecord.ts"
import type { Outage } from "./Outage.ts"

/** A job that ended, as far as a detector wants to know. */
export interface EndedJob extends Pick<SystemMetrics, "queueMs" | "firstTokenMs" | "totalMs" | "retries"> {
  readonly jobId: JobId
  readonly finishedAt: number
  readonly namespaceId: NamespaceId
  readonly model: string
  readonly nodeId: NodeId | null
  readonly subcloud: string | null
  readonly state: JobRecord["state"]
  readonly errorCode: string | null
  readonly promptTokens: number
  readonly outputTokens: number
  readonly failures: Evaluation["failures"]
  readonly claim: Claim | null
  readonly answer: string | null
}

/** How often requests of a key were refused so. */
export interface RefusedRequests {
  readonly keyId: KeyId
  readonly namespaceId: NamespaceId | null
  readonly code: string
  readonly requests: number
}

export type RatedBy = "node" | "model"

/** What customers think of the answers of a node or a model. */
export interface Ratings {
  readonly group: string
  readonly ratings: number
  /** Of scores from 1 to 5. */
  readonly meanScore: number
  /** Scores of 1 and 2. */
  readonly low: number
}

export interface Driver {
  /** Half-open: from ≤ finishedAt < to. Newest first, at most `max`. */
  readonly ended: (from: number, to: number, max: number) => Effect.Effect<ReadonlyArray<EndedJob>, Outage>
  /** Rejections whose key was known, from ≤ at < to, by key and code. The most frequent first, at most `max`. */
  readonly refused: (from: number, to: number, max: number) => Effect.Effect<ReadonlyArray<RefusedRequests>, Outage>
  /** Feedback given from ≤ at < to, the most rated first, at most `max` groups. What no node answered is of no node. */
  readonly rated: (by: RatedBy, from: number, to: number, max: number) => Effect.Effect<ReadonlyArray<Ratings>, Outage>
}

/** From `low` on downwards a score is a complaint. */
export const LOW_SCORE = 2

export class Signals extends Context.Service<Signals, Driver>()("resultity/layers/Signals") {}

export const make = (driver: Driver): Signals["Service"] => Signals.of(driver)

/** For back ends: what of a record a detector sees, once the bodies are read. */
export const endedJob = (
  facts: Omit<
    EndedJob,
    "queueMs" | "firstTokenMs" | "totalMs" | "retries" | "subcloud" | "failures" | "claim" | "answer"
  >,
  system: SystemMetrics,
  { failures }: Evaluation,
  { subcloud }: JobRecord["constraints"]
): EndedJob => {
  const { queueMs, firstTokenMs, totalMs, retries, claim, answer } = system
  const measured = { queueMs, firstTokenMs, totalMs, retries }
  return { ...facts, ...measured, failures, subcloud: subcloud ?? null, claim: claim ?? null, answer: answer ?? null }
}
