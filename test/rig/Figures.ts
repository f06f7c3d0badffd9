/** Counters of daemons that die: read every few seconds and added up over their lives, so that a figure outlives whoever counted it. */
import { scheduler } from "node:timers/promises"
import type { DaemonHandle } from "./Daemons.ts"

const EVERY_MS = 2_000
const WATCHED = [
  "resultity_repairs_total",
  "resultity_adoptions_total",
  "resultity_handovers_total",
  "resultity_subscribers_cut_total"
] as const
export type Figure = (typeof WATCHED)[number]

export interface Figures {
  readonly now: () => Promise<Readonly<Record<Figure, number>>>
  readonly stop: () => Promise<void>
}

export const watchFigures = (daemons: ReadonlyArray<DaemonHandle>): Figures => {
  const totals: Record<Figure, number> = Object.fromEntries(WATCHED.map((name) => [name, 0])) as Record<Figure, number>
  const last = new Map<string, number>()
  const read = async (daemon: DaemonHandle): Promise<void> => {
    const text = await fetch(`${daemon.controlUrl}/metrics`, { signal: AbortSignal.timeout(EVERY_MS) })
      .then((response) => response.text())
      .catch(() => "")
    if (text === "") return
    for (const name of WATCHED) {
      const sum = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)`, "gm"))].reduce(
        (sum, [, value]) => sum + Number(value),
        0
      )
      const key = `${daemon.name} ${daemon.pid()} ${name}`
      totals[name] += Math.max(0, sum - (last.get(key) ?? 0))
      last.set(key, sum)
    }
  }
  const readAll = () => Promise.all(daemons.map(read))
  const state = { stopped: false }
  const run = async () => {
    while (!state.stopped) {
      await readAll()
      await scheduler.wait(EVERY_MS)
    }
  }
  const running = run()
  return {
    now: async () => {
      await readAll()
      return { ...totals }
    },
    stop: async () => {
      state.stopped = true
      await running
    }
  }
}
