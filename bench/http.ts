/**
 * What do trivial requests cost? GET /healthz of the daemon's public listener against a bare node:http server that answers the same text, in rounds
 * that take turns. The daemon logs warnings only here; a line for each request costs more than the request, and is shown beside.
 */
import * as Daemon from "./support/Daemon.ts"
import { bareServer } from "./support/Fleet.ts"
import { type Line, median, rate, times } from "./support/Line.ts"
import * as Load from "./support/Load.ts"

const CONNECTIONS = 50
const ROUNDS = 7
const WARM_MS = 2_000
const ROUND_MS = 800

const get = { connections: CONNECTIONS, method: "GET", path: "/healthz" } as const

export const run = async (): Promise<Array<Line>> => {
  await using generator = await Load.start()
  await using bare = await bareServer()
  await using quiet = await Daemon.start({ profiled: true })
  await using talking = await Daemon.start({ log: "Info" })
  const targets = [bare, quiet, talking].map(({ port }) => ({ port, rates: new Array<number>() }))
  for (const { port } of targets) await Load.measure(generator, { ...get, port, warmMs: 0, forMs: WARM_MS })
  for (let round = 0; round < ROUNDS; round++) {
    for (const { port, rates } of targets) {
      rates.push((await Load.measure(generator, { ...get, port, warmMs: 50, forMs: ROUND_MS })).perSecond)
    }
  }
  const [floor = Number.NaN, served = Number.NaN, logged = Number.NaN] = targets.map(({ rates }) => median(rates))
  const against = `${rate(floor)} bare node:http`
  return [
    { what: "GET /healthz", value: rate(served), against, ratio: times(served / floor) },
    { what: "GET /healthz, a log line each", value: rate(logged), against, ratio: times(logged / floor) }
  ]
}

if (import.meta.main) console.table(await run())
