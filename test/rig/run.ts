/** The rig from the command line: what to run, where to keep it, and an exit code that says how it went. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { COMMAND } from "./Daemons.ts"
import { isGood, reportOf } from "./Report.ts"
import { runRig } from "./Rig.ts"
import { SCENARIOS } from "./Scenarios.ts"
import type { Profile } from "./Setting.ts"
import { makeTimeline, type Timeline } from "./Timeline.ts"

const HELP = `npm run chaos -- [options]

  --seed N           what is asked, done and drawn follows from it       (the time)
  --minutes M        of faults; healing and judging come on top          (5)
  --scenario NAMES   separated by commas, or all                         (all)
  --smoke            daemons and redis, 90 seconds together
  --untimed          how long things take is told and not judged, for a machine that is busy otherwise
  --timeline FILE    what an earlier run did, again
  --daemons N        of the cluster profile                              (3)
  --profile NAME     cluster, or embedded: one daemon without servers    (cluster)
  --folder DIR       where logs are kept
  --program PATH     bin/resultity.js of another tree: an older version, or one with a planted bug

The servers: RESULTITY_SERVERS names a script that knows up, env, start, stop, kill, pause and resume; without it
POSTGRES_URL, MONGODB_URL, REDIS_URL and RABBITMQ_URL say where they are, and only daemons and nodes are faulted.

${SCENARIOS.map(({ name, says }) => `  ${name.padEnd(16)} ${says}`).join("\n")}
`

const SMOKE = { scenario: "daemons,redis", minutes: "1" }
const NODE_PROCESSES = 3

export const chaos = async (argv: ReadonlyArray<string>): Promise<number> => {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seed: { type: "string", default: String(Math.floor(Date.now() / 1000) % 1_000_000) },
      minutes: { type: "string", default: "5" },
      scenario: { type: "string", default: "all" },
      smoke: { type: "boolean", default: false },
      untimed: { type: "boolean", default: false },
      timeline: { type: "string" },
      daemons: { type: "string", default: "3" },
      profile: { type: "string", default: "cluster" },
      folder: { type: "string" },
      program: { type: "string", default: COMMAND },
      help: { type: "boolean", default: false }
    }
  })
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  const profile: Profile = values.profile === "embedded" ? "embedded" : "cluster"
  const { scenario, minutes } = values.smoke ? SMOKE : values
  const timeline =
    values.timeline === undefined
      ? makeTimeline({
          seed: Number(values.seed),
          minutes: Number(minutes),
          scenarios: namesOf(scenario, profile),
          daemons: profile === "embedded" ? 1 : Number(values.daemons),
          nodeProcesses: NODE_PROCESSES
        })
      : (JSON.parse(readFileSync(values.timeline, "utf8")) as Timeline)
  const folder = values.folder ?? join(tmpdir(), "resultity-chaos", `${timeline.seed}-${process.pid}`)
  mkdirSync(folder, { recursive: true })
  const what = values.smoke ? "--smoke" : `--minutes ${minutes} --scenario ${scenario}`
  const command = `npm run chaos -- --seed ${timeline.seed} ${what}${profile === "embedded" ? " --profile embedded" : ` --daemons ${timeline.daemons}`}`
  console.log(`${command}\nlogs in ${folder}`)
  const from = Date.now()
  const say = (line: string) => console.log(`${((Date.now() - from) / 1000).toFixed(0).padStart(5)} s  ${line}`)
  const interrupted = new Promise<string>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve(`interrupted by ${signal}`))
  })
  const { program, untimed } = values
  const outcome = await runRig({ timeline, profile, program, untimed, folder, command, say, interrupted })
  const report = reportOf(outcome)
  writeFileSync(join(folder, "report.txt"), report)
  writeFileSync(join(folder, "findings.json"), JSON.stringify(outcome.findings, null, 1))
  console.log(`\n${report}`)
  return isGood(outcome) ? 0 : 1
}

/** What one daemon with one file can be put through. */
const OF_ONE_DAEMON = new Set(["calm", "daemons", "pauses", "nodes", "disk", "clock"])

const namesOf = (asked: string, profile: Profile): ReadonlyArray<string> => {
  const all = SCENARIOS.map(({ name }) => name).filter((name) => profile === "cluster" || OF_ONE_DAEMON.has(name))
  return asked === "all" ? all : asked.split(",")
}
