/** The main of one worker process: does what it is told, one task after the other, until its parent lets go. */
import { runSeed } from "./Campaign.ts"
import { hunt } from "./Hunt.ts"
import { PLANTED } from "./planted/All.ts"
import type { Report } from "./support/Report.ts"
import type { Broken, Task, Word } from "./Tasks.ts"

const say = (word: Word): void => void process.send?.(word)

const runAll = async ({ seed, count, without, trace }: Extract<Task, { _tag: "Schedules" }>): Promise<Word> => {
  const reports: Array<Report | Broken> = []
  // Every Outage of a plan would otherwise say where it was made.
  Error.stackTraceLimit = trace ? 10 : 0
  for (let at = seed; at < seed + count; at++) {
    say({ _tag: "Begins", seed: at })
    const tracing = trace ? { trace: (atMs: number, what: string) => console.log(`${atMs} ${what}`) } : {}
    reports.push(
      await runSeed({ seed: at, without, ...tracing }).catch((error: unknown) => ({
        seed: at,
        why: error instanceof Error ? (error.stack ?? error.message) : String(error)
      }))
    )
  }
  return { _tag: "Ran", reports }
}

const perform = async (task: Task): Promise<Word> => {
  if (task._tag === "Schedules") return runAll(task)
  const planted = PLANTED.find(({ plant }) => plant.name === task.plant)
  if (planted === undefined) throw new Error(`there is no planted bug "${task.plant}"`)
  const caught = await hunt(planted, task.from, task.seedsMax, (seed) => say({ _tag: "Begins", seed }))
  return { _tag: "Hunted", caught }
}

process.on("message", (task: Task) => void perform(task).then(say))
