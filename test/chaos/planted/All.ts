/** Every planted bug, and which sweeps have to be off for it to show. */
import { BARE, type Sweep } from "../support/Modes.ts"
import type { Plant } from "../support/Plant.ts"
import * as Cluster from "./ClusterPlants.ts"
import * as Road from "./RoadPlants.ts"
import * as Stores from "./StorePlants.ts"
import * as Upkeep from "./UpkeepPlants.ts"

export interface Planted {
  readonly plant: Plant
  readonly without: ReadonlyArray<Sweep>
  /** Where it showed last. */
  readonly from: number
}

const WITHOUT: ReadonlyMap<Plant, ReadonlyArray<Sweep>> = new Map([
  [Road.ackOnError, BARE],
  [Stores.sentBeforeConfirm, BARE],
  [Stores.publishBesideCommit, BARE],
  [Stores.releaseWithoutMessage, BARE],
  [Cluster.takenForGranted, BARE]
])

/** For those that the first seeds do not show. */
const FROM: ReadonlyMap<Plant, number> = new Map<Plant, number>([])

export const PLANTED: ReadonlyArray<Planted> = [Stores, Road, Cluster, Upkeep]
  .flatMap((plants): ReadonlyArray<Plant> => Object.values(plants))
  .map((plant) => ({ plant, without: WITHOUT.get(plant) ?? [], from: FROM.get(plant) ?? 1 }))
