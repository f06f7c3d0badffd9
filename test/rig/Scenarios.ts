/**
 * The scenarios by name: what is done, how often, under which load, and what has to hold besides the invariants. Times of recovery are those of the
 * design for a machine with two cores.
 */
import type { Fleet } from "./Nodes.ts"
import type { Drawn, FaultKind, Range } from "./Timeline.ts"

export interface Criteria {
  /** Jobs that may fail, of those that ended: nothing but faults of nodes, or of too many deaths, excuses a failed job. */
  readonly failedShareMax: number
  /** From the moment a fault is healed until the next job completes, 95 of 100. */
  readonly recoveryMsP95: number
  /** Gaps that a reader sees when it has to go on elsewhere, 95 of 100. */
  readonly resumeMsP95: number
  /** Definite failures that clients may see: refusals are none. */
  readonly repairsMax: number | null
}

export interface Scenario {
  readonly name: string
  readonly says: string
  readonly fleet: Fleet
  readonly clients: number
  /** Its share of `--scenario all`. */
  readonly weight: number
  /** Milliseconds between faults, at least and at most; null: none. */
  readonly every: readonly [number, number] | null
  /** How often a fault strikes again while its target recovers. */
  readonly again: number
  readonly draw: (range: Range) => ReadonlyArray<Drawn>
  readonly pass: Criteria
}

const USUAL: Criteria = { failedShareMax: 0, recoveryMsP95: 7_000, resumeMsP95: 12_000, repairsMax: null }

const daemon = ({ dice, daemons }: Range): string => `daemon/${dice.between(0, daemons - 1)}`
const nodes = ({ dice, nodeProcesses }: Range): string => `nodes/${dice.between(0, nodeProcesses - 1)}`
const SERVERS = ["postgres", "rabbitmq", "redis", "mongodb"] as const
const link = ({ dice, daemons }: Range): string => `link/${dice.between(0, daemons - 1)}/${dice.pick(SERVERS)}`
const LINK_FAULTS: ReadonlyArray<FaultKind> = ["link.cut", "link.slow", "link.halfOpen", "link.blackHole"]

const server = (name: string, range: Range, least: number, most: number): Drawn => ({
  kind: "server.kill",
  target: `server/${name}`,
  lastsMs: range.dice.between(least, most)
})

const killDaemon = (range: Range): Drawn => ({ kind: "daemon.kill", target: daemon(range) })

/** One fault of any kind. */
const any = (range: Range): Drawn => {
  const { dice } = range
  const kind = dice.pick(["daemon", "daemon", "nodes", "pause", "server", "flush", "link", "link"] as const)
  switch (kind) {
    case "daemon":
      return killDaemon(range)
    case "nodes":
      return { kind: "nodes.kill", target: nodes(range) }
    case "pause":
      return { kind: "daemon.pause", target: daemon(range), lastsMs: dice.between(500, 15_000) }
    case "server":
      return server(dice.pick(SERVERS), range, 300, 6_000)
    case "flush":
      return { kind: "redis.flush", target: "server/redis" }
    case "link":
      return { kind: dice.pick(LINK_FAULTS), target: link(range), lastsMs: dice.between(1_000, 10_000) }
  }
}

const nothing = () => []

export const SCENARIOS: ReadonlyArray<Scenario> = [
  {
    name: "calm",
    says: "nothing is done",
    fleet: "reliable",
    clients: 20,
    weight: 1,
    every: null,
    again: 0,
    draw: nothing,
    pass: { ...USUAL, repairsMax: 0 }
  },
  {
    name: "daemons",
    says: "a daemon is killed every few seconds",
    fleet: "reliable",
    clients: 16,
    weight: 1.5,
    every: [6_000, 11_000],
    again: 0.3,
    draw: (range) => [killDaemon(range)],
    pass: USUAL
  },
  {
    name: "rolling",
    says: "one daemon after another is asked to leave and comes back",
    fleet: "reliable",
    clients: 16,
    weight: 1,
    every: [9_000, 10_000],
    again: 0,
    draw: ({ count, daemons }) => [{ kind: "daemon.term", target: `daemon/${count % daemons}` }],
    pass: { ...USUAL, resumeMsP95: 2_000 }
  },
  {
    name: "pauses",
    says: "daemons, servers and nodes stand still and go on",
    fleet: "reliable",
    clients: 14,
    weight: 1.5,
    every: [7_000, 13_000],
    again: 0,
    draw: (range) => {
      const { dice } = range
      const lastsMs = dice.between(1_000, 16_000)
      const what = dice.pick(["daemon", "daemon", "nodes", ...SERVERS])
      if (what === "daemon") return [{ kind: "daemon.pause", target: daemon(range), lastsMs }]
      if (what === "nodes") return [{ kind: "nodes.pause", target: nodes(range), lastsMs }]
      return [{ kind: "server.pause", target: `server/${what}`, lastsMs: Math.min(lastsMs, 9_000) }]
    },
    pass: { ...USUAL, failedShareMax: 0.02, recoveryMsP95: 10_000, resumeMsP95: 20_000 }
  },
  {
    name: "postgres",
    says: "the deciding store is killed, also while it recovers",
    fleet: "reliable",
    clients: 14,
    weight: 1.2,
    every: [14_000, 20_000],
    again: 0.4,
    draw: (range) => [server("postgres", range, 200, 5_000)],
    pass: { ...USUAL, recoveryMsP95: 8_000, resumeMsP95: 15_000 }
  },
  {
    name: "rabbitmq",
    says: "the broker is killed",
    fleet: "reliable",
    clients: 14,
    weight: 1.2,
    every: [18_000, 26_000],
    again: 0.2,
    draw: (range) => [server("rabbitmq", range, 200, 5_000)],
    pass: { ...USUAL, recoveryMsP95: 10_000 }
  },
  {
    name: "rabbitmq-wiped",
    says: "the broker loses all that it has",
    fleet: "reliable",
    clients: 14,
    weight: 1,
    every: [20_000, 25_000],
    again: 0,
    draw: () => [{ kind: "rabbitmq.wipe", target: "server/rabbitmq" }],
    pass: { ...USUAL, recoveryMsP95: 30_000 }
  },
  {
    name: "redis",
    says: "what is true right now is forgotten, or not to be had",
    fleet: "reliable",
    clients: 16,
    weight: 1,
    every: [5_000, 8_000],
    again: 0.1,
    draw: (range) =>
      range.dice.chance(0.6)
        ? [{ kind: "redis.flush", target: "server/redis" }]
        : [server("redis", range, 200, 12_000)],
    pass: { ...USUAL, recoveryMsP95: 12_000 }
  },
  {
    name: "mongodb",
    says: "the records are not to be had",
    fleet: "reliable",
    clients: 14,
    weight: 1.2,
    every: [16_000, 24_000],
    again: 0.2,
    draw: (range) => [server(range.dice.pick(["mongodb", "documents"]), range, 1_000, 15_000)],
    pass: { ...USUAL, recoveryMsP95: 10_000, resumeMsP95: 20_000 }
  },
  {
    name: "links",
    says: "daemons lose their links to single servers, or these become slow or deaf",
    fleet: "reliable",
    clients: 14,
    weight: 1.5,
    every: [5_000, 10_000],
    again: 0,
    draw: (range) => {
      const count = range.dice.chance(0.3) ? 3 : 1
      return Array.from({ length: count }, () => ({
        kind: range.dice.pick(LINK_FAULTS),
        target: link(range),
        lastsMs: range.dice.between(1_000, 18_000)
      }))
    },
    pass: { ...USUAL, failedShareMax: 0.02, recoveryMsP95: 15_000, resumeMsP95: 25_000 }
  },
  {
    name: "nodes",
    says: "nodes die, freeze, lie, repeat themselves and fall silent",
    fleet: "mixed",
    clients: 16,
    weight: 1.2,
    every: [5_000, 9_000],
    again: 0,
    draw: (range) =>
      range.dice.chance(0.7)
        ? [{ kind: "nodes.kill", target: nodes(range) }]
        : [{ kind: "nodes.pause", target: nodes(range), lastsMs: range.dice.between(1_000, 15_000) }],
    pass: { ...USUAL, failedShareMax: 0.15, recoveryMsP95: 12_000, resumeMsP95: 60_000 }
  },
  {
    name: "disk",
    says: "the daemons' own folders are full",
    fleet: "reliable",
    clients: 14,
    weight: 0.6,
    every: [9_000, 14_000],
    again: 0,
    draw: (range) => [{ kind: "disk.full", target: daemon(range), lastsMs: range.dice.between(2_000, 8_000) }],
    pass: USUAL
  },
  {
    name: "clock",
    says: "the clocks of daemons and nodes jump by hours",
    fleet: "reliable",
    clients: 14,
    weight: 1,
    every: [6_000, 10_000],
    again: 0,
    draw: (range) => [
      {
        kind: "clock.jump",
        target: range.dice.chance(0.7) ? daemon(range) : nodes(range),
        byMs: range.dice.between(-7_200_000, 7_200_000),
        lastsMs: range.dice.between(2_000, 15_000)
      }
    ],
    pass: { ...USUAL, failedShareMax: 0.02 }
  },
  {
    name: "storm",
    says: "five things at once, again and again",
    fleet: "mixed",
    clients: 14,
    weight: 2,
    every: [18_000, 28_000],
    again: 0.2,
    draw: (range) => Array.from({ length: 5 }, () => any(range)),
    pass: { failedShareMax: 0.3, recoveryMsP95: 30_000, resumeMsP95: 60_000, repairsMax: null }
  }
]
