/**
 * How many jobs a second go the whole road (admission, claim, node, tokens, record, settlement) on durable embedded stores? Sync chat requests from
 * a process of their own against one instant node. Beside them in the same run: the same requests to the bare mock runtime, and what the group
 * commit of the store does alone.
 */
import { type Line, median, millis, rate, times } from "./support/Line.ts"
import * as Daemon from "./support/Daemon.ts"
import { runtime as startRuntime } from "./support/Fleet.ts"
import * as Load from "./support/Load.ts"
import * as Probe from "./support/Probe.ts"
import { commits } from "./groupCommit.ts"

export const CONNECTIONS = 128
const ROUNDS = 5
const WARM_MS = 8_000
const ROUND_MS = 2_500
const BARE_MS = 700
const TOKENS = 4

const body = (model: string) =>
  JSON.stringify({ model, max_tokens: TOKENS, messages: [{ role: "user", content: "Say something short." }] })

const chat = { connections: CONNECTIONS, method: "POST", path: "/v1/chat/completions" } as const
const typed = { "content-type": "application/json" }

export interface JobsMeasured {
  readonly perSecond: number
  readonly best: number
  readonly bareRate: number
  readonly cpuEach: number
  readonly through: ReadonlyArray<Load.Measured>
  readonly direct: ReadonlyArray<Load.Measured>
  readonly alone: Load.Measured
}

export const measureJobs = async (options: Pick<Daemon.DaemonStart, "cluster"> = {}): Promise<JobsMeasured> => {
  await using generator = await Load.start()
  await using runtime = await startRuntime()
  await using daemon = await Daemon.start({
    ...options,
    nodes: "instant",
    profiled: true,
    flags: Probe.flags,
    ipc: true
  })
  await Daemon.untilActive(daemon, 1)
  const headers = { ...typed, ...daemon.authorization }
  const jobs = { ...chat, port: daemon.port, headers, body: body("sim-small") }
  const bare = { ...chat, port: runtime.port, headers: typed, body: body("mock") }
  await Load.measure(generator, { ...jobs, warmMs: 0, forMs: WARM_MS })
  await Load.measure(generator, { ...bare, warmMs: 0, forMs: BARE_MS })
  const before = await Probe.used(daemon.child)
  const through: Array<Load.Measured> = []
  const direct: Array<Load.Measured> = []
  for (let round = 0; round < ROUNDS; round++) {
    through.push(await Load.measure(generator, { ...jobs, warmMs: 100, forMs: ROUND_MS }))
    direct.push(await Load.measure(generator, { ...bare, warmMs: 50, forMs: BARE_MS }))
  }
  const { cpuMs } = await Probe.used(daemon.child)
  const answers = through.reduce((sum, measured) => sum + measured.answered, 0)
  const alone = await Load.measure(generator, { ...jobs, connections: 1, warmMs: 200, forMs: 1_500 })
  const cpuEach = (cpuMs - before.cpuMs) / answers
  const perSecond = median(through.map((measured) => measured.perSecond))
  const best = Math.max(...through.map((measured) => measured.perSecond))
  const bareRate = median(direct.map((measured) => measured.perSecond))
  return { perSecond, best, bareRate, cpuEach, through, direct, alone }
}

export const run = async (): Promise<Array<Line>> => {
  const { perSecond, best, bareRate, cpuEach, through, direct, alone } = await measureJobs()
  const grouped = await commits()
  const p = (of: ReadonlyArray<Load.Measured>, which: "p50" | "p95") => median(of.map((measured) => measured[which]))
  return [
    {
      what: `durable jobs, ${CONNECTIONS} sync requests at a time`,
      value: `${rate(perSecond)} (best round ${rate(best)})`,
      against: `${rate(bareRate)} bare mock runtime`,
      ratio: times(perSecond / bareRate)
    },
    {
      what: "durable jobs against the store alone (3 operations a job)",
      value: rate(perSecond),
      against: `${rate(grouped / 3)} admit + claim + finish, same concurrency of 64`,
      ratio: times(perSecond / (grouped / 3))
    },
    {
      what: "processor time of the daemon and its node for a job",
      value: millis(cpuEach),
      against: "all threads, collection and compilation included"
    },
    ...(["p50", "p95"] as const).map((which) => ({
      what: `submit to completed, ${CONNECTIONS} at a time, ${which}`,
      value: millis(p(through, which)),
      against: `${millis(p(direct, which))} bare mock runtime`,
      ratio: times(p(through, which) / p(direct, which))
    })),
    {
      what: "submit to completed, one at a time, p50",
      value: millis(alone.p50),
      against: `${millis(alone.p95)} p95`
    }
  ]
}

if (import.meta.main) console.table(await run())
