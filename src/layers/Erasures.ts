/**
 * Orders of erasure, how far each is, and the signed stones that stay of what was erased. An order is durable before anything is deleted, so a daemon that
 * dies leaves it to the next one.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Erasure, ErasureOrder } from "../schemas/Erasure.ts"
import type { ErasureId, JobId } from "../schemas/Ids.ts"
import type { ErasureStone } from "../schemas/Tombstone.ts"
import type { Outage } from "./Outage.ts"

/** What a batch did. Counts are added. */
export interface Progress {
  readonly cursor: string | null
  readonly erased: number
  readonly refused: number
  readonly doneAt: number | null
}

export interface Driver {
  /** Afterwards the order is durable. The same id again: the first one, as far as it is. */
  readonly order: (order: ErasureOrder) => Effect.Effect<Erasure, Outage>
  readonly get: (id: ErasureId) => Effect.Effect<Erasure | null, Outage>
  /** Newest first. */
  readonly list: (limit: number) => Effect.Effect<ReadonlyArray<Erasure>, Outage>
  /** Those that are not done, oldest first. */
  readonly open: (limit: number) => Effect.Effect<ReadonlyArray<Erasure>, Outage>
  /** Null when there is no such order, or it is done already: then nothing changes. */
  readonly advance: (id: ErasureId, progress: Progress) => Effect.Effect<Erasure | null, Outage>
  /** The first stone of a job stands; afterwards that one is durable. */
  readonly bury: (stone: ErasureStone) => Effect.Effect<ErasureStone, Outage>
  readonly stone: (jobId: JobId) => Effect.Effect<ErasureStone | null, Outage>
}

export class Erasures extends Context.Service<Erasures, Driver>()("resultity/layers/Erasures") {}

export const make = (driver: Driver): Erasures["Service"] =>
  Erasures.of({
    ...driver,
    order: Effect.fn("Erasures.order")(driver.order),
    advance: Effect.fn("Erasures.advance")(driver.advance)
  })

/** An order as it begins. */
export const begun = (order: ErasureOrder): Erasure => ({ ...order, cursor: null, erased: 0, refused: 0, doneAt: null })
