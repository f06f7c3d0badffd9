/**
 * The fault campaign by hand: `node scripts/faults.ts --seed 123` repeats one run, `--runs N` goes on from that seed, `--bare` turns the repairing
 * sweeps off, `--trace` prints every step of the run, `--for SECONDS` ends a campaign by the clock.
 */
import { parseArgs } from "node:util"
import { commandFor, runSeed } from "../test/chaos/Campaign.ts"
import type { Report } from "../test/chaos/support/Run.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    runs: { type: "string", default: "1" },
    for: { type: "string", default: "1000000" },
    bare: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
    coverage: { type: "boolean", default: false }
  }
})
const [first, runs, seconds] = [Number(values.seed), Number(values.runs), Number(values.for)]
const { bare } = values

const from = performance.now()
const hits = new Map<string, number>()
const states: Record<string, number> = {}
let [done, broken, steps, crashes] = [0, 0, 0, 0]
const tell = ({ plan, violations }: Report) => {
  console.log(`${commandFor(plan.seed, bare)}   # ${violations.length} violations`)
  for (const { checker, what, atMs } of violations.slice(0, 6)) console.log(`  ${checker} at ${atMs} ms: ${what}`)
}
for (let seed = first; seed < first + runs && performance.now() - from < seconds * 1000; seed++) {
  const trace = values.trace ? (atMs: number, what: string) => console.log(`${atMs} ${what}`) : undefined
  const report = await runSeed({ seed, bare, ...(trace === undefined ? {} : { trace }) }).catch((error: unknown) => {
    console.log(`${commandFor(seed, bare)}   # ${error instanceof Error ? error.stack : String(error)}`)
    return null
  })
  done += 1
  if (report === null) {
    broken += 1
    continue
  }
  if (report.violations.length > 0) {
    broken += 1
    tell(report)
  }
  for (const hit of report.hit) hits.set(hit, (hits.get(hit) ?? 0) + 1)
  for (const [state, count] of Object.entries(report.states)) states[state] = (states[state] ?? 0) + count
  steps += report.steps
  crashes += report.crashes
}
const tookS = (performance.now() - from) / 1000
console.log(
  `${done} runs in ${tookS.toFixed(1)} s, ${broken} with violations; ${steps} steps, ${crashes} crashes, jobs ${JSON.stringify(states)}`
)
if (values.coverage) {
  const points = new Map<string, Array<string>>()
  for (const [hit, count] of [...hits].sort()) {
    const [point = "", kind = ""] = hit.split(" ")
    points.set(point, [...(points.get(point) ?? []), `${kind} ${count}`])
  }
  for (const [point, kinds] of points) console.log(`  ${point.padEnd(24)} ${kinds.join(", ")}`)
}
process.exitCode = broken > 0 ? 1 : 0
