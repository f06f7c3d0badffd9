/** What a simulated daemon makes snapshots with: rows that its deciding store in memory does not have. */
import { Layer } from "effect"
import { LongWork } from "../../src/actors/LongWork.ts"
import * as MemoryStateRows from "../../src/layers/memory/MemoryStateRows.ts"
import { Snapshots } from "../../src/snapshots/Snapshots.ts"

export const snapshotHouse = Layer.mergeAll(LongWork.layer, Snapshots.layer.pipe(Layer.provide(MemoryStateRows.layer)))
