/**
 * What one run is: its world, its work and its faults, all drawn from the seed before anything starts. Each run first draws which kinds of
 * faults there are at all and how many, so that some runs are quiet but for one blow and others are a storm.
 */
import { Dice } from "./Dice.ts"
import { leavesLost, type Sweep } from "./Modes.ts"
import { POINTS, ROAD, UPKEEP, type FaultKind } from "./Points.ts"

export interface PointFault {
  readonly point: string
  readonly nth: number
  readonly kind: FaultKind
  readonly ms: number
}

export type TimedKind =
  | "crash"
  | "drain"
  | "freeze"
  | "storeOut"
  | "recordsOut"
  | "tracesOut"
  | "brokerOut"
  | "brokerWipe"
  | "cutConsumers"
  | "liveOut"
  | "liveWipe"
  | "skew"
  | "agentCut"
  | "agentRestart"
  | "everything"

export interface TimedFault {
  readonly atMs: number
  readonly kind: TimedKind
  readonly ms: number
  readonly which: number
}

export type Character = "swift" | "steady" | "slow" | "flaky" | "moody" | "liar"

export interface AgentPlan {
  readonly character: Character
  readonly slots: number
  readonly region: string
  readonly canContinue: boolean
}

export interface JobPlan {
  readonly atMs: number
  readonly namespace: number
  readonly mode: "sync" | "stream" | "polling"
  readonly kind: "chat" | "completions" | "embeddings"
  readonly tokens: number
  readonly choices: number
  readonly priority: "normal" | "bulk" | null
  readonly region: string | null
  readonly onNodeLoss: "continue" | "restart" | "fail" | null
  readonly deadlineMs: number
  readonly keyed: boolean
  /** After so long the client says it again, with the same key. */
  readonly againMs: number | null
  readonly cancelMs: number | null
  /** The first reader leaves after so many pieces, and comes back. */
  readonly leavesAfter: number | null
  /** Another reader from this position, so much later. */
  readonly secondReader: { readonly afterMs: number; readonly from: number } | null
}

/** What retention is put through when the work is done. */
export interface UpkeepPlan {
  /** One finished job in so many stays young. */
  readonly old: number
  /** A segment rots before it is read back. */
  readonly rots: boolean
  /** The first prune gets no further than half of the jobs, or than the traces of all. */
  readonly tears: "jobs" | "traces" | null
  readonly points: ReadonlyArray<PointFault>
  readonly timed: ReadonlyArray<TimedFault>
}

export interface Plan {
  readonly seed: number
  /** Sweeps that are off. */
  readonly without: ReadonlyArray<Sweep>
  readonly daemons: number
  /** Messages of a lane, and crashes of a job, that are too many. */
  readonly laneMax: number
  readonly crashesMax: number
  readonly prefetch: number
  readonly graceMs: number
  readonly agents: ReadonlyArray<AgentPlan>
  readonly jobs: ReadonlyArray<JobPlan>
  readonly points: ReadonlyArray<PointFault>
  readonly timed: ReadonlyArray<TimedFault>
  readonly upkeep: UpkeepPlan | null
}

/** Jobs come, and faults by the clock, within these spans; a run that is busy longer has this long before it is healed. */
const WORK_MS = 4500
const FAULTS_MS = 8000
export const SPAN_MS = 14_000
export const REGIONS = ["eu", "us"]

const TIMED: ReadonlyArray<TimedKind> = [
  "crash",
  "drain",
  "freeze",
  "storeOut",
  "recordsOut",
  "tracesOut",
  "brokerOut",
  "brokerWipe",
  "cutConsumers",
  "liveOut",
  "liveWipe",
  "skew",
  "agentCut",
  "agentRestart",
  "everything"
]
/** With the repair of lost messages off, nobody brings back what a broker forgot. */
const NEEDS_REPAIR: ReadonlySet<TimedKind> = new Set(["brokerWipe"])

export const planOf = (seed: number, without: ReadonlyArray<Sweep> = []): Plan => {
  const dice = new Dice(seed)
  const config = dice.stream("config")
  const faults = dice.stream("faults")
  const single = faults.chance(0.25)
  const extra = extraFaults(dice.stream("extra"), single)
  return {
    seed,
    without,
    daemons: Math.max(config.pick([1, 1, 2, 2, 3]), extra.daemonsMin),
    prefetch: config.pick([1, 2, 4, 16]),
    graceMs: config.pick([300, 1000, 3000]),
    laneMax: config.pick([100_000, 100_000, 100_000, 2]),
    crashesMax: config.pick([25, 25, 25, 1]),
    agents: agentsOf(dice.stream("agents")),
    jobs: jobsOf(dice.stream("work")),
    points: [...pointFaults(faults, single ? 1 : faults.between(0, faults.pick([2, 5, 12]))), ...extra.points],
    timed: [...timedFaults(faults, single ? 0 : faults.between(0, faults.pick([0, 1, 3, 6])), without), ...extra.timed],
    upkeep: dice.stream("keep").chance(0.3) ? upkeepOf(dice.stream("upkeep")) : null
  }
}

const agentsOf = (dice: Dice): ReadonlyArray<AgentPlan> => {
  const trusty = dice.pick<Character>(["swift", "steady"])
  const characters: ReadonlyArray<Character> = ["swift", "steady", "slow", "flaky", "moody", "liar"]
  const others = Array.from({ length: dice.between(2, 3) }, () => dice.pick(characters))
  return [trusty, ...others].map((character, at) => ({
    character,
    slots: dice.pick([1, 1, 2, 4]),
    region: REGIONS[at % REGIONS.length] ?? "eu",
    canContinue: at === 0 || dice.chance(0.85)
  }))
}

const jobsOf = (dice: Dice): ReadonlyArray<JobPlan> =>
  Array.from({ length: dice.between(10, 16) }, () => {
    const kind = dice.pick<JobPlan["kind"]>(["chat", "chat", "chat", "completions", "embeddings"])
    const keyed = dice.chance(0.5)
    return {
      atMs: dice.between(0, WORK_MS),
      namespace: dice.between(0, 1),
      mode: dice.pick<JobPlan["mode"]>(["stream", "stream", "sync", "polling"]),
      kind,
      tokens: dice.between(1, 20),
      choices: dice.chance(0.15) ? 2 : 1,
      priority: dice.pick<JobPlan["priority"]>([null, null, "bulk", "normal"]),
      region: dice.chance(0.25) ? dice.pick(REGIONS) : null,
      onNodeLoss: dice.pick<JobPlan["onNodeLoss"]>([null, null, null, "continue", "restart", "fail"]),
      deadlineMs: dice.chance(0.15) ? dice.between(50, 4000) : dice.between(20_000, 60_000),
      keyed,
      againMs: keyed && dice.chance(0.4) ? dice.between(0, 4000) : null,
      cancelMs: dice.chance(0.12) ? dice.between(0, 3000) : null,
      leavesAfter: dice.chance(0.3) ? dice.between(0, 6) : null,
      secondReader: dice.chance(0.3) ? { afterMs: dice.between(0, 5000), from: dice.between(0, 4) } : null
    }
  })

const pointFaults = (dice: Dice, count: number): ReadonlyArray<PointFault> => {
  const names = Object.keys(POINTS)
  const crashes = dice.chance(0.6)
  const points: Array<PointFault> = []
  while (points.length < count) {
    const point = dice.pick(dice.chance(0.6) ? ROAD : names)
    const { kinds, often } = POINTS[point] ?? { kinds: [], often: 1 }
    const kind = dice.pick(kinds)
    if (!crashes && (kind.startsWith("crash") || kind.startsWith("freeze"))) continue
    const nth = dice.chance(0.3) ? dice.between(1, 3) : dice.between(1, often)
    points.push({ point, nth, kind, ms: delayOf(dice, kind) })
  }
  return points
}

/** Where an owner that hangs is replaced before it goes on. */
const ZOMBIES = ["JobStore.finish", "JobStore.claim", "Traces.append", "Traces.append", "JobRecords.patch"]

/** What rarely comes together by chance: an owner that hangs in the middle of a write until it is replaced, and daemons that leave while jobs wait. */
const extraFaults = (dice: Dice, single: boolean) => {
  const zombie = !single && dice.chance(0.35)
  const drains = !single && dice.chance(0.15)
  const points: ReadonlyArray<PointFault> = zombie
    ? [
        {
          point: dice.pick(ZOMBIES),
          nth: dice.between(1, 12),
          kind: "freezeBefore",
          ms: dice.pick([11_200, 12_000, 13_000, 16_000])
        }
      ]
    : []
  const drain = (): TimedFault => ({
    atMs: dice.between(500, 6000),
    kind: "drain",
    ms: 0,
    which: dice.between(0, 100)
  })
  return { daemonsMin: zombie ? 2 : 1, points, timed: drains ? [drain(), drain()] : [] }
}

const delayOf = (dice: Dice, kind: FaultKind): number =>
  kind.startsWith("freeze") ? dice.pick([500, 3000, 9000, 12_000, 16_000]) : dice.pick([1, 20, 200, 1500, 4000, 9000])

const timedFaults = (dice: Dice, count: number, without: ReadonlyArray<Sweep>): ReadonlyArray<TimedFault> => {
  const kinds = dice.some(
    TIMED.filter((kind) => !(leavesLost(without) && NEEDS_REPAIR.has(kind))),
    0.4
  )
  return Array.from({ length: count }, () => ({
    atMs: dice.between(0, FAULTS_MS),
    kind: dice.pick(kinds),
    ms: dice.pick([200, 1000, 4000, 12_000]),
    which: dice.between(0, 100)
  }))
}

const KEEPING: ReadonlyArray<TimedKind> = [
  "crash",
  "crash",
  "freeze",
  "cutConsumers",
  "recordsOut",
  "storeOut",
  "brokerOut"
]

/** A leader that hangs and loses its lead meanwhile is the case that sweepers are fenced for. */
const upkeepOf = (dice: Dice): UpkeepPlan => {
  const points = Array.from({ length: dice.between(0, 3) }, () => {
    const point = dice.pick(UPKEEP)
    const kind = dice.pick(POINTS[point]?.kinds ?? [])
    return {
      point,
      nth: dice.between(1, 3),
      kind,
      ms: kind.startsWith("freeze") ? 2500 : dice.pick([1, 200, 1500])
    }
  })
  const timed = Array.from({ length: dice.between(0, 2) }, () => ({
    atMs: dice.between(0, 3000),
    kind: dice.pick(KEEPING),
    ms: dice.pick([200, 1000, 2500]),
    which: dice.between(0, 100)
  }))
  return {
    old: dice.pick([2, 3, 1000]),
    rots: dice.chance(0.2),
    tears: dice.pick([null, null, null, "jobs", "traces"]),
    points,
    timed
  }
}
