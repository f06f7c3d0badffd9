/**
 * Does what the timeline says, each fault at its time, and makes it good again. A target that is still under another fault is left alone, so that no two
 * orders for one process cross; what was done and when it was good again stands in the nemesis's log.
 */
import { scheduler } from "node:timers/promises"
import type { FaultLine } from "./History.ts"
import type { Journal } from "./Journal.ts"
import type { Fault, Section } from "./Timeline.ts"

/** The note of a fault that strikes a target which has just come back. */
export const AGAIN = "while it recovers"

/** Begins a fault; what it returns makes it good. Resolves when it truly is. */
export type Hand = (fault: Fault) => Promise<() => Promise<void>>

export interface NemesisOptions {
  readonly hand: Hand
  /** Why a fault of this kind cannot be done here; null when it can. */
  readonly cannot: (fault: Fault) => string | null
  readonly journal: Journal<FaultLine>
  /** True once the run is to end early. */
  readonly stopped: () => boolean
}

export interface Performed {
  readonly done: number
  readonly skipped: ReadonlyMap<string, number>
}

export const perform = async ({ scenario, faults, lastsMs }: Section, options: NemesisOptions): Promise<Performed> => {
  const { hand, cannot, journal, stopped } = options
  const busy = new Set<string>()
  const under: Array<Promise<void>> = []
  const skipped = new Map<string, number>()
  let done = 0
  const from = performance.now()
  const write = (fault: Fault, step: FaultLine["step"], note?: string) =>
    journal.write({
      at: Date.now(),
      kind: fault.kind,
      target: fault.target,
      step,
      scenario,
      ...(note === undefined ? {} : { note })
    })
  const skip = (why: string) => void skipped.set(why, (skipped.get(why) ?? 0) + 1)

  const strike = async (fault: Fault): Promise<void> => {
    busy.add(fault.target)
    try {
      for (let time = 0; time < (fault.againAfterMs === undefined ? 1 : 2); time++) {
        if (time > 0) await scheduler.wait(fault.againAfterMs ?? 0)
        write(fault, "begin", time > 0 ? AGAIN : undefined)
        done += 1
        const heal = await hand(fault)
        if (fault.lastsMs > 0) await scheduler.wait(fault.lastsMs)
        await heal()
        write(fault, "healed")
      }
    } catch (cause) {
      // A fault that could not be made good spoils the run: the report says so.
      write(fault, "failed", cause instanceof Error ? cause.message : String(cause))
    } finally {
      busy.delete(fault.target)
    }
  }

  for (const fault of faults) {
    const wait = fault.atMs - (performance.now() - from)
    if (wait > 0) await scheduler.wait(wait)
    if (stopped()) break
    const why = cannot(fault)
    if (why !== null) skip(why)
    else if (busy.has(fault.target)) skip("its target was still under another fault")
    else under.push(strike(fault))
  }
  const rest = lastsMs - (performance.now() - from)
  if (rest > 0 && !stopped()) await scheduler.wait(rest)
  await Promise.all(under)
  return { done, skipped }
}
