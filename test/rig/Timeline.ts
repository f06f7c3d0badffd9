/**
 * What is done to the cluster and when, settled by the seed before anything runs. Load, faults and behaviour are drawn from streams of their own, so a
 * change of one does not move the others. Stored as `timeline.json`; a stored timeline can be run again.
 */
import { Dice } from "../chaos/support/Dice.ts"
import { type Scenario, SCENARIOS } from "./Scenarios.ts"

export type FaultKind =
  | "daemon.kill"
  | "daemon.pause"
  | "daemon.term"
  | "nodes.kill"
  | "nodes.pause"
  | "server.kill"
  | "server.pause"
  | "redis.flush"
  | "rabbitmq.wipe"
  | "link.cut"
  | "link.slow"
  | "link.halfOpen"
  | "link.blackHole"
  | "disk.full"
  | "clock.jump"

export interface Fault {
  /** From the begin of its scenario. */
  readonly atMs: number
  readonly kind: FaultKind
  /** `daemon/1`, `nodes/0`, `server/postgres`, `link/1/redis`. */
  readonly target: string
  /** How long it lasts; 0 where it heals by itself. */
  readonly lastsMs: number
  /** For a clock. */
  readonly byMs?: number
  /** The same again so long after the target had come back, while it still recovers. */
  readonly againAfterMs?: number
}

export interface Section {
  readonly scenario: string
  readonly lastsMs: number
  readonly faults: ReadonlyArray<Fault>
}

export interface Timeline {
  readonly seed: number
  readonly daemons: number
  readonly nodeProcesses: number
  readonly sections: ReadonlyArray<Section>
}

export interface TimelineOptions {
  readonly seed: number
  readonly minutes: number
  readonly scenarios: ReadonlyArray<string>
  readonly daemons: number
  readonly nodeProcesses: number
}

/** Before the first fault of a section, and after its last one: it is to be seen that it was well and gets well. */
const QUIET_BEFORE_MS = 3_000
const QUIET_AFTER_MS = 4_000
const AGAIN_LEAST_MS = 200
const AGAIN_MOST_MS = 1_000

export interface Drawn {
  readonly kind: FaultKind
  readonly target: string
  readonly lastsMs?: number
  readonly byMs?: number
}

/** What a scenario may aim at. */
export interface Range {
  readonly dice: Dice
  readonly daemons: number
  readonly nodeProcesses: number
  /** How far the section has come, from 0 to 1. */
  readonly progress: number
  /** How many faults there were. */
  readonly count: number
  readonly lastsMs: number
}

export const makeTimeline = ({ seed, minutes, scenarios, daemons, nodeProcesses }: TimelineOptions): Timeline => {
  const dice = new Dice(seed).stream("faults")
  const chosen = scenarios.map(scenarioNamed)
  const weights = chosen.reduce((sum, { weight }) => sum + weight, 0)
  const sections = chosen.map((scenario, at): Section => {
    const lastsMs = Math.round((minutes * 60_000 * scenario.weight) / weights)
    const faults = faultsOf(scenario, dice.stream(`${scenario.name} ${at}`), { daemons, nodeProcesses, lastsMs })
    return { scenario: scenario.name, lastsMs, faults }
  })
  return { seed, daemons, nodeProcesses, sections }
}

export const scenarioNamed = (name: string): Scenario => {
  const found = SCENARIOS.find((scenario) => scenario.name === name)
  if (found === undefined)
    throw new Error(`there is no scenario ${name}; there are ${SCENARIOS.map(({ name }) => name).join(", ")} and all`)
  return found
}

const faultsOf = (
  scenario: Scenario,
  dice: Dice,
  {
    daemons,
    nodeProcesses,
    lastsMs
  }: { readonly daemons: number; readonly nodeProcesses: number; readonly lastsMs: number }
): ReadonlyArray<Fault> => {
  if (scenario.every === null) return []
  const [least, most] = scenario.every
  const end = lastsMs - QUIET_AFTER_MS
  const faults: Array<Fault> = []
  let count = 0
  for (let atMs = QUIET_BEFORE_MS; atMs < end; atMs += dice.between(least, most)) {
    const range: Range = { dice, daemons, nodeProcesses, progress: atMs / lastsMs, count: count++, lastsMs }
    for (const [at, drawn] of scenario.draw(range).entries()) {
      faults.push(faultOf(drawn, Math.min(end, atMs + at * dice.between(0, 600)), end, scenario, dice))
    }
  }
  return faults.toSorted((a, b) => a.atMs - b.atMs)
}

/** No fault outlasts its section by more than a moment. */
const faultOf = (
  { lastsMs = 0, ...drawn }: Drawn,
  atMs: number,
  end: number,
  { again }: Scenario,
  dice: Dice
): Fault => ({
  atMs,
  ...drawn,
  lastsMs: Math.min(lastsMs, Math.max(1000, end - atMs)),
  ...(dice.chance(again) ? { againAfterMs: dice.between(AGAIN_LEAST_MS, AGAIN_MOST_MS) } : {})
})
