/**
 * Which receipts there are, and the closed hours that they were put into. A job has one leaf, for good: it is in the hour in which the job ended, or,
 * when that is closed, in the first that is not. A closed hour gets no further leaf, so its root stays true. Holds hashes only, no receipt.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { JobId } from "../schemas/Ids.ts"
import type { SignedRoot } from "../schemas/Receipt.ts"
import type { Outage } from "./Outage.ts"
import { traced } from "./Traced.ts"

export const HOUR_MS = 3_600_000

export const hourOf = (at: number): number => Math.floor(at / HOUR_MS) * HOUR_MS

/** A job that ended. Ordered by both. */
export interface Ended {
  readonly endedAt: number
  readonly jobId: JobId
}

export interface NewLeaf extends Ended {
  readonly hash: string
  /** With it the same hash is made again from what is durable. */
  readonly blind: string
}

export interface Leaf extends Omit<NewLeaf, "endedAt"> {
  readonly hour: number
}

/** A full subtree of an hour (`BLOCK_LEAVES` leaves; the last may have fewer). */
export interface Block {
  readonly firstJobId: JobId
  readonly hash: string
}

/** What a proof is made of: the leaves of the job's block, and all blocks of the hour. */
export interface Closed {
  readonly root: SignedRoot
  readonly block: number
  readonly leaves: ReadonlyArray<Leaf>
  readonly blocks: ReadonlyArray<string>
}

export interface Driver {
  /** Ended jobs without a leaf, after `after` and before the instant `before`, in order. */
  readonly due: (after: Ended, before: number, limit: number) => Effect.Effect<ReadonlyArray<Ended>, Outage>
  /** Afterwards each job has a leaf: the one that is returned in its place, which was there before or is new. */
  readonly put: (leaves: ReadonlyArray<NewLeaf>) => Effect.Effect<ReadonlyArray<Leaf>, Outage>
  /** Of one hour, by job id, after `after`. */
  readonly leaves: (hour: number, after: JobId | null, limit: number) => Effect.Effect<ReadonlyArray<Leaf>, Outage>
  /** Closes the hour. False, and nothing done, unless it is the next by number, later than all before, and has as many leaves as the root says. */
  readonly close: (root: SignedRoot, blocks: ReadonlyArray<Block>) => Effect.Effect<boolean, Outage>
  /** The newest. */
  readonly last: Effect.Effect<SignedRoot | null, Outage>
  /** By number, after `after`. */
  readonly roots: (after: number, limit: number) => Effect.Effect<ReadonlyArray<SignedRoot>, Outage>
  /** null: no receipt was made of it. `closed` is null while its hour is open. */
  readonly find: (jobId: JobId) => Effect.Effect<{ readonly leaf: Leaf; readonly closed: Closed | null } | null, Outage>
}

export class Receipts extends Context.Service<Receipts, Driver>()("resultity/layers/Receipts") {}

export const make = (driver: Driver): Receipts["Service"] =>
  Receipts.of({
    ...driver,
    due: traced("Receipts.due", driver.due),
    put: (leaves) => (leaves.length === 0 ? Effect.succeed([]) : driver.put(leaves)),
    close: traced("Receipts.close", driver.close),
    find: traced("Receipts.find", driver.find)
  })
