/** Every planted bug, and whether the repairing sweeps have to be off for it to show. */
import type { Plant } from "../support/Plant.ts"
import * as Road from "./RoadPlants.ts"
import * as Stores from "./StorePlants.ts"

export interface Planted {
  readonly plant: Plant
  readonly bare: boolean
  /** Where it showed last. */
  readonly from: number
}

const BARE: ReadonlySet<Plant> = new Set([
  Road.ackOnError,
  Stores.sentBeforeConfirm,
  Stores.publishBesideCommit,
  Stores.releaseWithoutMessage
])

/** For those that the first seeds do not show. */
const FROM: ReadonlyMap<Plant, number> = new Map([
  [Stores.noEpochInFinish, 79],
  [Stores.noOwnerInClaim, 55],
  [Stores.publishBesideCommit, 10],
  [Stores.sentBeforeConfirm, 10],
  [Stores.settleTwice, 12],
  [Road.ackOnError, 14],
  [Road.claimNotKept, 29],
  [Road.lateTokenTwice, 22],
  [Road.noTraceFence, 17],
  [Road.prefetchIgnored, 14]
])

export const PLANTED: ReadonlyArray<Planted> = [...Object.values(Stores), ...Object.values(Road)].map((plant) => ({
  plant,
  bare: BARE.has(plant),
  from: FROM.get(plant) ?? 1
}))
