/**
 * How long until the ready line with 20 simulated nodes on an empty data folder, and how much memory is resident then? Beside `node -e 0` and a bare
 * node:http server, started by turns. At the ready line all nodes serve.
 */
import { readFileSync } from "node:fs"
import { execFileSync } from "node:child_process"
import * as Children from "./support/Children.ts"
import * as Daemon from "./support/Daemon.ts"
import { bareServer } from "./support/Fleet.ts"
import { type Line, median, megabytes, millis, times } from "./support/Line.ts"

const ROUNDS = 5
const NODES = 20

interface Start {
  readonly readyMs: number
  readonly rssBytes: number
}

/** As the operating system sees it. */
const rssOf = (pid: number): number => {
  try {
    const [, kilobytes = "0"] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
    return Number(kilobytes) * 1024
  } catch {
    // Not a Linux.
    return Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) * 1024
  }
}

const seen = ({ readyMs, pid }: Children.Child): Start => ({ readyMs, rssBytes: rssOf(pid) })

const nothing = async (): Promise<Start> => {
  await using child = await Children.start({
    name: "nothing",
    args: ["-e", "console.log('ready'); setInterval(() => {}, 60_000)"],
    ready: /^ready/
  })
  return seen(child)
}

const bare = async (): Promise<Start> => {
  await using child = await bareServer()
  return seen(child)
}

const daemon = async (nodes: number): Promise<Start> => {
  const names = Array.from({ length: nodes }, () => "swift").join(",")
  await using started = await Daemon.start({
    ...(nodes === 0 ? {} : { nodes: names }),
    account: false,
    profiled: nodes > 0
  })
  return seen(started.child)
}

export const run = async (): Promise<Array<Line>> => {
  const kinds = [
    { what: "node -e", start: nothing, starts: new Array<Start>() },
    { what: "bare node:http", start: bare, starts: new Array<Start>() },
    { what: "daemon without nodes", start: () => daemon(0), starts: new Array<Start>() },
    { what: `daemon with ${NODES} simulated nodes`, start: () => daemon(NODES), starts: new Array<Start>() }
  ]
  for (let round = 0; round < ROUNDS; round++) {
    for (const { start, starts } of kinds) starts.push(await start())
  }
  const [, floor, ...daemons] = kinds.map(({ what, starts }) => ({
    what,
    readyMs: median(starts.map(({ readyMs }) => readyMs)),
    bestMs: Math.min(...starts.map(({ readyMs }) => readyMs)),
    rssBytes: median(starts.map(({ rssBytes }) => rssBytes))
  }))
  const [empty] = kinds
  if (floor === undefined || empty === undefined) return []
  const emptyMs = median(empty.starts.map(({ readyMs }) => readyMs))
  const emptyRss = median(empty.starts.map(({ rssBytes }) => rssBytes))
  return daemons.flatMap(({ what, readyMs, bestMs, rssBytes }) => [
    {
      what: `${what}: time to ready`,
      value: `${millis(readyMs)} (best ${millis(bestMs)})`,
      against: `${millis(floor.readyMs)} bare node:http, ${millis(emptyMs)} node -e`,
      ratio: times(readyMs / floor.readyMs)
    },
    {
      what: `${what}: resident at ready`,
      value: megabytes(rssBytes),
      against: `${megabytes(floor.rssBytes)} bare node:http, ${megabytes(emptyRss)} node -e`,
      ratio: times(rssBytes / floor.rssBytes)
    }
  ])
}

if (import.meta.main) console.table(await run())
