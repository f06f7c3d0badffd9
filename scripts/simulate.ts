/**
 * The simulation by hand: seeded schedules of the whole runtime in memory under faults, on every core. `--schedules N --seed S` runs N from seed S on,
 * `--without NAME` with a sweep off (`each`: every one in turn), `--planted` proves that planted bugs are caught. `--help` says the rest.
 */
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { keepSeed } from "../test/chaos/Seeds.ts"
import { Hung, doAll } from "../test/chaos/Pool.ts"
import { proveAll } from "../test/chaos/Proof.ts"
import { isSweep, SWEEPS, type Sweep } from "../test/chaos/support/Modes.ts"
import { Tally } from "../test/chaos/Tally.ts"
import type { Task } from "../test/chaos/Tasks.ts"

const HELP = `npm run simulate -- [options]
  --schedules N    how many (1)
  --seed S         the first seed; the others follow (1)
  --without NAME   with these sweeps off, several with commas; each: every one in turn, beside none
                   ${SWEEPS.join(", ")}
  --workers W      processes (one for each core)
  --for SECONDS    ends a campaign by the clock
  --hashes         prints the event hash of each schedule
  --faults         prints which faults fell where
  --trace          prints every step; for one schedule
  --keep           keeps failing seeds in test/chaos/seeds.json, where npm test runs them
  --planted        for each planted bug the schedules it took to show, at most 500; --only TEXT: those whose name has it`

const { values } = parseArgs({
  options: {
    schedules: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    without: { type: "string", default: "" },
    workers: { type: "string", default: String(availableParallelism()) },
    for: { type: "string", default: "1000000" },
    hashes: { type: "boolean", default: false },
    faults: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    planted: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    help: { type: "boolean", default: false }
  }
})

/** Seeds of one task: few, so that the last ones do not wait for one worker. */
const CHUNK = 10

const modesOf = (without: string): ReadonlyArray<ReadonlyArray<Sweep>> => {
  if (without === "") return [[]]
  if (without === "each") return [[], ...SWEEPS.map((sweep) => [sweep])]
  const names = without.split(",")
  const unknown = names.find((name) => !isSweep(name))
  if (unknown !== undefined) throw new Error(`there is no sweep ${unknown}; there are ${SWEEPS.join(", ")}`)
  return [names.filter(isSweep)]
}

const began = performance.now()
const secondsGone = () => (performance.now() - began) / 1000

/** Each chunk of seeds in the next mode. */
function* tasksOf(): Generator<Task> {
  const modes = modesOf(values.without)
  const [first, schedules] = [Number(values.seed), Number(values.schedules)]
  for (let at = 0; at * CHUNK < schedules && secondsGone() < Number(values.for); at++) {
    const count = Math.min(CHUNK, schedules - at * CHUNK)
    const without = modes[at % modes.length] ?? []
    yield { _tag: "Schedules", seed: first + at * CHUNK, count, without, trace: values.trace }
  }
}

const campaign = async (): Promise<boolean> => {
  const tally = new Tally()
  const workers = Math.min(Number(values.workers), Math.ceil(Number(values.schedules) / CHUNK))
  await doAll(tasksOf(), workers, (task, outcome) => {
    if (task._tag !== "Schedules") return
    if (outcome instanceof Hung)
      return tally.add({ seed: outcome.seed ?? task.seed, why: outcome.message }, task.without)
    if (outcome._tag !== "Ran") return
    for (const report of outcome.reports) {
      tally.add(report, task.without)
      const first = "violations" in report ? report.violations[0] : undefined
      if (values.keep && first !== undefined) keepSeed(report.seed, task.without, `${first.checker}: ${first.what}`)
    }
  })
  if (values.hashes) for (const [command, hash] of tally.hashes) console.log(`${hash}  ${command}`)
  tally.tell(secondsGone(), workers)
  if (!values.trace) tally.tellPaths()
  if (values.faults) tally.tellFaults()
  return tally.failing.length === 0
}

if (values.help) console.log(HELP)
else if (values.planted) process.exitCode = (await proveAll(Number(values.workers), values.only)) ? 0 : 1
else process.exitCode = (await campaign()) ? 0 : 1
