/** The proof that the campaign finds what it is there to find: each planted bug from the first seed on, and how many schedules it took to show. */
import { PLANTED, type Planted } from "./planted/All.ts"
import { doAll, Hung } from "./Pool.ts"
import type { Caught } from "./Hunt.ts"

/** Schedules within which a bug has to show. */
export const SCHEDULES_MAX = 500

const tell = ({ plant, without }: Planted, caught: Caught | null): void => {
  const needed = caught === null ? `not in ${SCHEDULES_MAX}` : String(caught.tried)
  const where = without.length === 0 ? "" : ` without ${without.join(",")}`
  const what = caught === null ? "" : `${caught.first.checker}: ${caught.first.what.slice(0, 90)}`
  console.log(`${needed.padStart(10)}  ${`${plant.name}${where}`.padEnd(72)}  ${what}`)
}

/** True: all of them were caught. */
export const proveAll = async (workers: number, only: string): Promise<boolean> => {
  const chosen = PLANTED.filter(({ plant }) => plant.name.includes(only))
  const needed: Array<number> = []
  console.log(`${"schedules".padStart(10)}  planted bug`)
  const tasks = chosen.map(
    ({ plant }) => ({ _tag: "Hunt", plant: plant.name, from: 1, seedsMax: SCHEDULES_MAX }) as const
  )
  await doAll(tasks, workers, (task, outcome) => {
    const planted = chosen.find(({ plant }) => task._tag === "Hunt" && plant.name === task.plant)
    if (planted === undefined) return
    // A bug that makes a schedule hang has shown.
    const caught =
      outcome instanceof Hung
        ? {
            seed: outcome.seed ?? 0,
            tried: outcome.seed ?? 0,
            first: { checker: "run", what: outcome.message, atMs: 0 }
          }
        : outcome._tag === "Hunted"
          ? outcome.caught
          : null
    if (caught !== null) needed.push(caught.tried)
    tell(planted, caught)
  })
  const median = needed.toSorted((a, b) => a - b)[needed.length >> 1] ?? 0
  console.log(
    `${needed.length} of ${chosen.length} planted bugs caught; schedules needed: median ${median}, most ${Math.max(0, ...needed)}`
  )
  return needed.length === chosen.length
}
