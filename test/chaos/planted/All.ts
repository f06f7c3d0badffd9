/** Every planted bug, and which sweeps have to be off for it to show. */
import { BARE, type Sweep } from "../support/Modes.ts"
import type { Plant } from "../support/Plant.ts"
import * as Books from "./BooksPlants.ts"
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

/** For those that the first seeds do not show, by name. */
const FROM: ReadonlyMap<string, number> = new Map([
  ["settle twice", 11],
  ["no epoch check in claim", 20],
  ["publish outside of the transaction", 9],
  ["acknowledge what came back", 12],
  ["ignore the prefetch", 16],
  ["store a late piece twice", 18],
  ["prune what was not verified", 19],
  ["no owner check in claim", 60],
  ["no epoch check in finish", 95],
  ["hand back without a message", 60],
  ["mark as sent before the confirm", 97],
  ["answer a refused claim as claimed", 60],
  ["no fence around the trace", 45],
  ["take over without fencing the trace", 45],
  ["take over and forget what was stored", 100],
  ["take a job from an owner that lives", 80],
  ["change a record whatever the epoch", 100],
  ["no epoch check for sweepers", 50],
  ["never compare the slots", 60]
])

export const PLANTED: ReadonlyArray<Planted> = [Stores, Road, Cluster, Upkeep, Books]
  .flatMap((plants): ReadonlyArray<Plant> => Object.values(plants))
  .map((plant) => ({ plant, without: WITHOUT.get(plant) ?? [], from: FROM.get(plant.name) ?? 1 }))
