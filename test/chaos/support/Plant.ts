/** A bug put into one run's world, by wrapping what the daemon stands on or what stands on it; never by a switch in what is shipped. */
import type { Shared, Stores, Tree } from "./ChaosDaemon.ts"

export interface PlantHouse {
  readonly shared: Shared
  /** Outside of every daemon. */
  readonly after: (ms: number, task: () => void) => void
}

export interface Plant {
  readonly name: string
  readonly stores?: (stores: Stores, house: PlantHouse) => Stores
  readonly tree?: (tree: Tree) => Tree
}

export const NO_PLANT: Plant = { name: "nothing" }
