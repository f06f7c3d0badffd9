/**
 * Worker processes for schedules: each has its own heap and its own core. A worker that says nothing for long hangs in a schedule: it is ended, the
 * schedule is named, and another one takes its place.
 */
import { fork, type ChildProcess } from "node:child_process"
import type { Task, Word } from "./Tasks.ts"

const WORKER = new URL("./Worker.ts", import.meta.url)
const QUICK = new URL("./support/QuickImports.ts", import.meta.url)
/** Far longer than any schedule takes, on a machine that has other things to do as well. */
const SILENCE_MAX_MS = 90_000
/** Most of what a schedule makes is gone when it is over: a larger nursery lets it die there. */
const NURSERY = "--max-semi-space-size=32"

export class Hung extends Error {
  readonly seed: number | null

  constructor(seed: number | null, why: string) {
    super(seed === null ? why : `schedule ${seed}: ${why}`)
    this.seed = seed
  }
}

const start = (): ChildProcess =>
  fork(WORKER, { execArgv: [NURSERY, "--import", QUICK.href], serialization: "advanced" })

/** What came of the task; a worker that hung or died is no longer of use. */
const ask = (worker: ChildProcess, task: Task): Promise<Word> =>
  new Promise((resolve, reject) => {
    let seed: number | null = null
    let words = 0
    const over = (settle: () => void) => {
      words = -1
      worker.removeAllListeners("message").removeAllListeners("exit")
      settle()
    }
    const tooLong = () => {
      worker.kill("SIGKILL")
      over(() => reject(new Hung(seed, `says nothing for ${SILENCE_MAX_MS} ms`)))
    }
    /** Until the next word. */
    const watch = () => {
      const heard = (words += 1)
      AbortSignal.timeout(SILENCE_MAX_MS).addEventListener("abort", () => {
        if (heard === words) tooLong()
      })
    }
    watch()
    worker.on("exit", (code) => over(() => reject(new Hung(seed, `the worker ended with code ${code}`))))
    worker.on("message", (word: Word) => {
      if (word._tag !== "Begins") return over(() => resolve(word))
      seed = word.seed
      watch()
    })
    worker.send(task)
  })

/** Does all of the tasks with so many workers, and tells of each as it is done. */
export const doAll = async (
  tasks: Iterable<Task>,
  workers: number,
  done: (task: Task, outcome: Word | Hung) => void
): Promise<void> => {
  const left = tasks[Symbol.iterator]()
  const work = async () => {
    let worker = start()
    for (let next = left.next(); next.done !== true; next = left.next()) {
      const outcome = await ask(worker, next.value).catch((error: unknown) => error as Hung)
      if (outcome instanceof Error) worker = start()
      done(next.value, outcome)
    }
    worker.disconnect()
  }
  await Promise.all(Array.from({ length: workers }, work))
}
