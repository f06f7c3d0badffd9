/**
 * What do trivial requests cost? GET /healthz of the daemon's public listener against a bare node:http server that answers the same text, in rounds
 * that take turns.
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
  await using daemon = await Daemon.start({ profiled: true, log: "Info" })
  const targets = [bare, daemon].map(({ port }) => ({ port, rates: new Array<number>() }))
  for (const { port } of targets) await Load.measure(generator, { ...get, port, warmMs: 0, forMs: WARM_MS })
  for (let round = 0; round < ROUNDS; round++) {
    for (const { port, rates } of targets) {
      rates.push((await Load.measure(generator, { ...get, port, warmMs: 50, forMs: ROUND_MS })).perSecond)
    }
  }
  const [floor = Number.NaN, served = Number.NaN] = targets.map(({ rates }) => median(rates))
  const against = `${rate(floor)} bare node:http`
  return [{ what: "GET /healthz", value: rate(served), against, ratio: times(served / floor) }]
}

if (import.meta.main) console.table(await run())
