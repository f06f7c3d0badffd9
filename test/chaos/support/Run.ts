/**
 * One seeded run: a small cluster in memory, its agents and clients, the faults of its plan; then everything is healed, and it goes on until
 * nothing is left to do. The same seed gives the same run, to the last step.
 */
import { Context, Effect, Exit, Logger, Scope } from "effect"
import type { JobId } from "../../../src/schemas/Ids.ts"
import type { Caller } from "../../../src/schemas/Namespace.ts"
import { closeBooks } from "./Books.ts"
import { briefly } from "./Brief.ts"
import { ChaosAgent } from "./ChaosAgent.ts"
import { ChaosClient } from "./ChaosClient.ts"
import { ChaosDaemon, type Shared } from "./ChaosDaemon.ts"
import { Coverage } from "./Coverage.ts"
import { Dice } from "./Dice.ts"
import { Crossings } from "./Door.ts"
import { History, type Call, type Checker, type Scene } from "./History.ts"
import * as Modes from "./Modes.ts"
import { onTimed } from "./Nemesis.ts"
import { SPAN_MS, type Plan } from "./Plan.ts"
import { NO_PLANT, type Plant } from "./Plant.ts"
import type { Report, Violation } from "./Report.ts"
import { hasOpenRecords, hasStranded, leasesLeft, leftOver, mayBeQuiet, SLOTS_MS } from "./Quiet.ts"
import { sceneOf } from "./Scene.ts"
import { Process, Sim } from "./Sim.ts"
import { spyOn } from "./Spy.ts"
import { tapTransport, type Standing } from "./Tap.ts"
import { keepUp, tearing } from "./Upkeep.ts"
import { makeRequest } from "./Work.ts"
import { makeWorld, type World } from "./World.ts"

/** Before the first client comes. */
const WARM_UP_MS = 1500
/** Within which everything must be over once it is healed. */
const HEALING_MS = 240_000
/** Within which a node has come back with what it holds. */
const STRANDED_MS = 20_000
/** Older than any record in the hands of its writer. */
const OLD_MS = 11 * 60_000
/** Within which the repair of records comes by. */
const REPAIR_MS = 40_000
/** What is still on its way to somebody then has had its time. */
const LAST_MS = 300

export interface RunOptions {
  readonly checkers: ReadonlyArray<Checker>
  readonly plant?: Plant
  /** Told of everything, for whoever looks at one run. */
  readonly trace?: (atMs: number, what: string) => void
}

export class Run {
  readonly plan: Plan
  readonly sim: Sim
  readonly outside: Process
  readonly history = new History()
  readonly crossings: Crossings
  readonly coverage = new Coverage()
  readonly daemons: Array<ChaosDaemon> = []
  readonly agents: Array<ChaosAgent> = []
  readonly clients: Array<ChaosClient> = []
  /** Contracts that are out, by the times until which they are. */
  readonly out = new Map<string, number>()
  /** How the next prune breaks off. */
  tears: "jobs" | "traces" | null = null
  /** Effects that come late, and are not there yet. */
  underWay = 0
  private readonly options: RunOptions
  private readonly dice: Dice
  private readonly violations: Array<Violation> = []
  private readonly outstanding = new Map<JobId, number>()
  private readonly standing: Standing = new Map()
  private readonly watching: ReadonlyMap<string, ReadonlyArray<Checker>>
  private born = 0
  /** Daemons that are no more. */
  private ends = 0
  private world: World | null = null
  readonly scene: Scene

  constructor(plan: Plan, options: RunOptions) {
    this.plan = plan
    this.options = options
    this.dice = new Dice(plan.seed).stream("run")
    this.sim = new Sim(this.dice.stream("sched"), Date.UTC(2026, 0, 1))
    this.outside = this.sim.process("harness")
    this.crossings = new Crossings(plan.points)
    this.watching = byPoint(options.checkers)
    this.scene = sceneOf(this, this.outstanding, () => this.ends > 0)
  }

  get shared(): Shared {
    return this.built.shared
  }

  get inLanes(): number {
    return this.built.inLanes()
  }

  get callers(): ReadonlyArray<Caller> {
    return this.built.callers
  }

  private get built(): World {
    if (this.world === null) throw new Error("the world is not there yet")
    return this.world
  }

  get atMs(): number {
    return this.sim.now - this.sim.startedAt
  }

  trace(what: string): void {
    this.options.trace?.(this.atMs, what)
  }

  violate(checker: string, what: string): void {
    if (this.violations.length < 100) this.violations.push({ checker, what, atMs: this.atMs })
    this.trace(`VIOLATION ${checker}: ${what}`)
  }

  /** The broker lost all that it had. */
  forgetMessages(): void {
    this.outstanding.clear()
  }

  async perform(): Promise<Report> {
    const { plan, sim, outside } = this
    await this.setUp()
    for (let at = 0; at < plan.daemons; at++) this.spawn()
    await sim.run(WARM_UP_MS, () => false)
    for (const fault of plan.timed) outside.after(fault.atMs, () => onTimed(this, fault))
    this.putToWork()
    const lastFaultAt = sim.now + Math.max(0, ...plan.timed.map(({ atMs }) => atMs))
    const isSpent = () => sim.now > lastFaultAt && !this.daemons.some(({ process }) => process.isFrozen)
    await sim.run(SPAN_MS, () => isSpent() && mayBeQuiet(this))
    this.heal()
    const quiet = await this.comeToRest()
    if (!quiet) this.violate("I03", `after healing there is no end: ${leftOver(this).join("; ")}`)
    if (quiet && hasOpenRecords(this)) await this.repair()
    await sim.run(LAST_MS, () => false)
    if (quiet && !this.scene.isGentle()) await sim.run(SLOTS_MS, () => leasesLeft(this).length === 0)
    if (quiet) await closeBooks(this, this.dice.stream("books"))
    if (quiet && plan.upkeep !== null) await this.judgeAndKeepUp()
    else this.judge(({ name }) => quiet || name !== "I13")
    return this.report()
  }

  /** A job that nobody takes over may still be adopted where its node comes back to: nobody's is what stays so. */
  private async comeToRest(): Promise<boolean> {
    const rests = () => this.sim.run(HEALING_MS, () => mayBeQuiet(this))
    const quiet = await rests()
    if (!quiet || !hasStranded(this)) return quiet
    await this.sim.run(STRANDED_MS, () => false)
    return rests()
  }

  /** What the upkeep lets go of is judged before it. */
  private async judgeAndKeepUp(): Promise<void> {
    const { upkeep } = this.plan
    this.judge(({ name }) => name !== "I08")
    if (upkeep !== null) await keepUp(this, upkeep)
    this.judge(({ name }) => name === "I08")
  }

  private judge(which: (checker: Checker) => boolean): void {
    for (const checker of this.options.checkers) {
      if (!which(checker)) continue
      for (const what of checker.atEnd?.(this.scene) ?? []) this.violate(checker.name, what)
    }
  }

  /** Records whose writer died are looked after when they are old: so they are made. */
  private async repair(): Promise<void> {
    for (const stored of this.shared.records.records.values()) {
      const { record } = stored
      if (record.completeness === "open") stored.record = { ...record, createdAt: record.createdAt - OLD_MS }
    }
    await this.sim.run(REPAIR_MS, () => !hasOpenRecords(this))
  }

  private report(): Report {
    const { plan, violations, crossings, coverage, sim, history } = this
    const states: Record<string, number> = {}
    for (const { row } of this.shared.state.jobs.values()) {
      states[row.state] = (states[row.state] ?? 0) + 1
      sim.hash.value(row)
    }
    for (const { log } of this.clients) {
      if (log.refused.includes("insufficient_credits")) coverage.mark("admission: out of credits")
    }
    return {
      seed: plan.seed,
      hash: sim.hash.toString(),
      violations,
      hit: crossings.hit,
      marks: coverage.counts,
      states,
      steps: sim.steps,
      virtualMs: this.atMs,
      crashes: history.crashes.length
    }
  }

  private setUp(): Promise<unknown> {
    const { plan, sim, outside } = this
    outside.fork(makeWorld(plan, Scope.makeUnsafe(), sim.now), Context.empty() as never, (exit) => {
      if (Exit.isFailure(exit)) throw new Error(`the world was not made: ${String(exit.cause)}`)
      this.world = exit.value
    })
    return sim.run(1000, () => this.world !== null)
  }

  spawn(): void {
    const { plan, outside, shared, crossings, sim, standing } = this
    const plant = this.options.plant ?? NO_PLANT
    const id = `daemon_sim${++this.born}`
    const process = sim.process(id, [this.logger(id)])
    const wrote = (point: string, args: ReadonlyArray<unknown>, result: unknown) =>
      this.onCall({ at: sim.now, daemon: id, point, args, result })
    const door = {
      process,
      crossings,
      now: () => sim.now,
      isOut: (contract: string) => (this.out.get(contract) ?? 0) > sim.now,
      // What passes to the broker is written where it truly happens.
      wrote: (point: string, args: ReadonlyArray<unknown>, result: unknown) => {
        if (!point.startsWith("Transport.")) wrote(point, args, result)
      },
      crash: (why: string) => {
        this.history.crashes.push(`${id} ${why}`)
        daemon.crash("crashed")
      },
      later: (ms: number, effect: Effect.Effect<unknown, unknown>) => this.later(ms, effect)
    }
    const daemon = new ChaosDaemon(
      {
        shared,
        outside,
        process,
        door,
        prefetch: plan.prefetch,
        plant: (stores) => {
          const tapped = tearing(tapTransport(stores, { daemon: id, wrote, standing }), this)
          const left = Modes.without(tapped, plan.without)
          const after = (ms: number, task: () => void) => void outside.after(ms, task)
          return plant.stores?.(left, { shared, after }) ?? left
        },
        plantTree: (tree) => plant.tree?.(tree) ?? tree,
        ended: (ended, how) => this.onEnded(ended, how)
      },
      id
    )
    this.trace(`${id} starts`)
    this.daemons.push(daemon)
  }

  private later(ms: number, effect: Effect.Effect<unknown, unknown>): void {
    this.underWay += 1
    this.outside.after(ms, () => {
      this.underWay -= 1
      this.outside.fork(Effect.exit(effect), Context.empty())
    })
  }

  private onEnded(daemon: ChaosDaemon, how: "crashed" | "left" | "fenced"): void {
    this.trace(`${daemon.id} ${how}`)
    this.coverage.mark(`daemon: ${how}`)
    this.ends += 1
    this.daemons.splice(this.daemons.indexOf(daemon), 1)
    this.outside.after(this.dice.pick([50, 500, 2500]), () => this.spawn())
  }

  private onCall(call: Call): void {
    const { history, scene, options, sim } = this
    const { point, daemon, args, result } = call
    sim.hash.name(point)
    sim.hash.name(daemon)
    sim.hash.value(args[0])
    sim.hash.value(result)
    if (point === "Transport.publish") history.published.push(args[1])
    this.count(call)
    if (options.trace !== undefined) {
      const line = briefly(call)
      if (line !== null) this.trace(line)
    }
    this.coverage.see(call, scene)
    for (const { name, during } of this.watching.get(point) ?? this.watching.get("") ?? []) {
      const what = during?.(call, scene) ?? null
      if (what !== null) this.violate(name, what)
    }
  }

  /** Messages of jobs that the broker has. */
  private count({ point, args, result }: Call): void {
    if (!point.startsWith("Transport.")) return
    const jobId = queuedIn(point === "Transport.publish" ? args[1] : args[0])
    if (jobId === null) return
    const before = this.outstanding.get(jobId) ?? 0
    if (point === "Transport.publish" && result === true) this.outstanding.set(jobId, before + 1)
    if (point === "Transport.ack") this.outstanding.set(jobId, before - 1)
  }

  private logger(id: string): Logger.Logger<unknown, unknown> {
    return Logger.make(({ message, cause, logLevel }) => {
      const line = `${JSON.stringify(message)} ${cause.reasons.length > 0 ? String(cause.reasons.map((reason) => JSON.stringify(reason))) : ""}`
      this.history.logs.push(line)
      this.trace(`${id} log ${logLevel} ${line.slice(0, 300)}`)
    })
  }

  private putToWork(): void {
    const { plan, dice, sim, outside, history } = this
    for (const [number, agentPlan] of plan.agents.entries()) {
      const process = sim.process(`agent ${number}`)
      const connect = (agent: ChaosAgent) => this.connect(agent)
      const house = {
        number,
        sim,
        process,
        dice: dice.stream(`agent ${number}`),
        history,
        connect
      }
      this.agents.push(new ChaosAgent(house, agentPlan))
    }
    for (const [at, job] of plan.jobs.entries()) {
      const caller = this.callers[job.namespace] as Caller
      const made = makeRequest(job, at)
      history.canaries.push({ namespaceId: caller.namespace.id, word: made.canary })
      const house = {
        process: outside,
        dice: dice.stream(`client ${at}`),
        daemon: () => this.someDaemon(),
        shed: () => this.coverage.mark("admission: shed")
      }
      // Agents need a moment to pass their tests.
      const client = new ChaosClient(house, { ...job, atMs: job.atMs + 600 }, caller, made.request)
      this.clients.push(client)
      history.clients.push(client.log)
    }
    spyOn(this)
  }

  private connect(agent: ChaosAgent): boolean {
    const daemon = this.someDaemon()
    if (daemon === null) return false
    daemon.connect(agent)
    return true
  }

  someDaemon(): ChaosDaemon | null {
    const up = this.daemons.filter((daemon) => daemon.isUp && !daemon.process.isFrozen)
    return up.length === 0 ? null : this.dice.pick(up)
  }

  /** No fault from now on, and what was out, wrong or still is well. */
  heal(): void {
    this.trace("healed")
    this.crossings.enabled = false
    this.out.clear()
    for (const agent of this.agents) agent.calm = true
    for (const { process } of this.daemons) {
      process.skewMs = 0
      process.thaw()
    }
    this.outside.fork(Effect.andThen(this.shared.broker.outage(false), this.shared.live.outage(false)), Context.empty())
  }
}

/** Under "" those that see every call. */
const byPoint = (checkers: ReadonlyArray<Checker>): ReadonlyMap<string, ReadonlyArray<Checker>> => {
  const points = new Set(checkers.flatMap((checker) => checker.points ?? []))
  const of = (point: string) =>
    checkers.filter(({ during, points }) => during !== undefined && (points?.includes(point) ?? true))
  return new Map(["", ...points].map((point) => [point, of(point)]))
}

const queuedIn = (envelope: unknown): JobId | null => {
  const { message } = (envelope ?? {}) as {
    readonly message?: { readonly _tag: string; readonly jobId: JobId }
  }
  return message?._tag === "JobQueued" ? message.jobId : null
}
