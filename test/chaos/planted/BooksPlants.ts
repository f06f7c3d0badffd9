/** Bugs in the books: entries that are counted again, and receipts that give way to later ones. */
import { Context, Effect } from "effect"
import { Receipts } from "../../../src/layers/Receipts.ts"
import { Rollups } from "../../../src/layers/Rollups.ts"
import type { Plant } from "../support/Plant.ts"

/** What was taken is written, and not how far that came. */
export const countAgain: Plant = {
  name: "roll up the same entries again",
  stores: (stores, { shared }) => {
    const rollups = Context.get(stores, Rollups)
    const book: typeof rollups.book = (definition, from, max, now) =>
      Effect.suspend(() => {
        const { places } = shared.state.rollups
        if (definition === "jobs") for (const [id, place] of places) places.set(id, { ...place, jobsSeq: 0 })
        return rollups.book(definition, from, max, now)
      })
    return Context.add(stores, Rollups, { ...rollups, book })
  }
}

/** Whoever makes a receipt puts his own hash in the place of the one that was written down first. */
export const lastReceiptWins: Plant = {
  name: "write the hash of a receipt down again",
  stores: (stores, { shared }) => {
    const receipts = Context.get(stores, Receipts)
    const put: typeof receipts.put = (leaves) =>
      Effect.suspend(() => {
        for (const { jobId } of leaves) shared.state.leaves.delete(jobId)
        return receipts.put(leaves)
      })
    return Context.add(stores, Receipts, { ...receipts, put })
  }
}
