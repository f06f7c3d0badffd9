/**
 * Lives of a job's machine, drawn from a seed: mostly what could happen next, now and then anything at all. Watches every step and keeps the
 * books that the laws are about: timers that run, leases that are out, what was commanded.
 */
import { leaseTokenOf, type LeaseToken, type NodeId } from "../../src/schemas/Ids.ts"
import type { JobMoment, JobTimer } from "../../src/schemas/JobMoment.ts"
import { initial, type JobCommand, type JobMachine, type MachineFacts, step } from "../../src/policies/JobMachine.ts"
import { seeded } from "../../src/agent/SimulatedAnswer.ts"
import { jobId, nodeId } from "./Samples.ts"

export const JOB = jobId(1)
export const NODES = [nodeId(1), nodeId(2), nodeId(3)]
export const leaseOf = (attempt: number): LeaseToken => leaseTokenOf(JOB, attempt)

export const facts = (over: Partial<MachineFacts> = {}): MachineFacts => ({
  onNodeLoss: "continue",
  mustContinue: true,
  failuresMax: 3,
  ...over
})

type Started = Extract<JobMoment, { _tag: "Started" }>
export const started = (over: Partial<Started> = {}): Started => ({
  _tag: "Started",
  epoch: 0,
  attempt: 0,
  failures: 0,
  last: 0,
  tokens: 0,
  adopting: false,
  nodeId: null,
  lease: null,
  ...over
})

export interface Seen {
  readonly moment: JobMoment
  readonly before: JobMachine
  readonly after: JobMachine
  readonly commands: ReadonlyArray<JobCommand>
  /** After this step. */
  readonly timers: ReadonlySet<JobTimer>
}

export interface Life {
  readonly facts: MachineFacts
  readonly seen: ReadonlyArray<Seen>
}

export const momentsOf = ({ seen }: Life): ReadonlyArray<JobMoment> => seen.map(({ moment }) => moment)
export const commandsOf = ({ seen }: Life): ReadonlyArray<JobCommand> => seen.flatMap(({ commands }) => commands)

/** Plays the moments and keeps the books. */
export const play = (of: MachineFacts, moments: Iterable<JobMoment>): Life => {
  const seen: Array<Seen> = []
  const timers = new Set<JobTimer>()
  let before = initial(of)
  for (const moment of moments) {
    if (moment._tag === "TimerFired") timers.delete(moment.timer)
    const [after, commands] = step(before, moment)
    for (const command of commands) {
      if (command._tag === "StartTimer") timers.add(command.timer)
      if (command._tag === "StopTimer") timers.delete(command.timer)
    }
    seen.push({ moment, before, after, commands, timers: new Set(timers) })
    before = after
  }
  return { facts: of, seen }
}

/** One life, the same for the same seed. */
export const liveLife = (seed: number): Life => {
  const draw = seeded(seed)
  const pick = <A>(all: ReadonlyArray<A>): A => all[Math.floor(draw() * all.length)] as A
  const of = facts({
    onNodeLoss: pick(["continue", "continue", "restart", "fail"]),
    mustContinue: draw() < 0.8,
    failuresMax: 1 + Math.floor(draw() * 4)
  })
  const moments: Array<JobMoment> = [firstMoment(of.failuresMax, draw, pick)]
  const garbage = draw() < 0.5 ? 0 : 0.25
  let machine = step(initial(of), moments[0] as JobMoment)[0]
  for (let count = 0; count < 60; count++) {
    const moment = draw() < garbage ? anything(machine, draw, pick) : pick(plausible(machine, draw, pick))
    moments.push(moment)
    machine = step(machine, moment)[0]
  }
  return play(of, moments)
}

type Pick = <A>(all: ReadonlyArray<A>) => A

const firstMoment = (failuresMax: number, draw: () => number, pick: Pick): Started => {
  const attempt = Math.floor(draw() * 3)
  const adopting = attempt > 0 && draw() < 0.5
  const last = attempt === 0 ? 0 : Math.floor(draw() * 5)
  const epoch = attempt + Math.floor(draw() * 2)
  const taken = adopting && draw() < 0.9 ? { nodeId: pick(NODES), lease: leaseOf(attempt) } : {}
  return started({
    epoch,
    attempt,
    failures: Math.min(attempt, failuresMax - 1),
    last,
    tokens: last,
    adopting,
    ...taken
  })
}

const CODES = ["runtime_error", "bad_signature", "result_mismatch"]
const TIMERS: ReadonlyArray<JobTimer> = ["accept", "execution", "idle", "grace", "backoff", "deadline"]
const CAUSES = ["client", "operator", "client_gone"] as const

const tokens = (machine: JobMachine, draw: () => number): JobMoment => {
  const more = 1 + Math.floor(draw() * 4)
  return { _tag: "Tokens", last: machine.last + more, tokens: more }
}
const result = (last: number): JobMoment => ({ _tag: "Result", last, promptTokens: 3, outputTokens: last })
const fired = (timer: JobTimer): JobMoment => ({ _tag: "TimerFired", timer })

/** What may come next, the likely things more than once. */
const plausible = (machine: JobMachine, draw: () => number, pick: Pick): ReadonlyArray<JobMoment> => {
  const always: ReadonlyArray<JobMoment> = draw() < 0.15 ? nowAndThen(pick) : []
  const failed: JobMoment = { _tag: "AttemptFailed", code: pick(CODES), fault: pick(["node", "job", "nobody"]) }
  switch (machine.phase) {
    case "leasing":
      return [{ _tag: "Leased", nodeId: pick(NODES), lease: leaseOf(machine.attempt + 1) }, ...always]
    case "claiming": {
      const claimed = {
        _tag: "Claimed",
        epoch: machine.epoch + 1,
        attempt: machine.attempt + (machine.adopting ? 0 : 1)
      } as const
      const refused = { _tag: "ClaimRefused", why: pick(["ended", "owned", "dead", "epoch", "requeued"]) } as const
      return [claimed, claimed, claimed, draw() < 0.3 ? refused : claimed, ...always]
    }
    case "assigned":
      return [
        { _tag: "Accepted" },
        { _tag: "Accepted" },
        { _tag: "Rejected", code: "busy" },
        fired("accept"),
        ...always
      ]
    case "running":
      return [
        tokens(machine, draw),
        tokens(machine, draw),
        pick([result(machine.last), failed, fired("idle"), fired("execution")]),
        { _tag: "NodeLost", code: "closed" },
        ...always
      ]
    case "grace": {
      const back: JobMoment = { _tag: "NodeBack", nodeId: machine.nodeId ?? pick(NODES) }
      return [back, back, tokens(machine, draw), fired("grace"), failed, ...always]
    }
    case "backoff":
      return [fired("backoff"), ...always]
    case "recording":
      return [{ _tag: "Recorded", pending: draw() < 0.2 }, ...always]
    case "settling":
      return [{ _tag: "Settled" }, { _tag: "Stale" }, ...always]
    case "new":
    case "over":
      return [anything(machine, draw, pick)]
  }
}

const nowAndThen = (pick: Pick): ReadonlyArray<JobMoment> => [
  { _tag: "CancelAsked", cause: pick(CAUSES) },
  fired("deadline"),
  { _tag: "Unservable", code: "poison" },
  { _tag: "Stale" },
  { _tag: "Drained" }
]

/** Late, foreign, repeated or impossible. */
const anything = (machine: JobMachine, draw: () => number, pick: Pick): JobMoment =>
  pick<JobMoment>([
    { _tag: "Leased", nodeId: pick(NODES), lease: leaseOf(machine.attempt + Math.floor(draw() * 3)) },
    { _tag: "Claimed", epoch: machine.epoch + 1, attempt: machine.attempt + 1 },
    { _tag: "ClaimRefused", why: "epoch" },
    { _tag: "Accepted" },
    { _tag: "Rejected", code: "busy" },
    { _tag: "Tokens", last: Math.floor(draw() * 10), tokens: 1 },
    result(Math.floor(draw() * 10)),
    { _tag: "AttemptFailed", code: pick(CODES), fault: pick(["node", "job", "nobody"]) },
    { _tag: "NodeLost", code: "closed" },
    { _tag: "NodeBack", nodeId: pick<NodeId>(NODES) },
    fired(pick(TIMERS.filter((timer) => timer !== "deadline"))),
    { _tag: "Recorded", pending: false },
    { _tag: "Settled" },
    ...nowAndThen(pick)
  ])
