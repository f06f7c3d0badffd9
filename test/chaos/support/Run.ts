/**
 * One seeded run: a small cluster in memory, its agents and clients, the faults of its plan; then everything is healed, and it goes on until
 * nothing is left to do. The same seed gives the same run, to the last step.
 */
import { Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import * as MemoryBroker from "../../../src/layers/memory/MemoryBroker.ts"
import * as MemoryLive from "../../../src/layers/memory/MemoryLive.ts"
import * as MemoryRecords from "../../../src/layers/memory/MemoryRecords.ts"
import * as MemoryRelay from "../../../src/layers/memory/MemoryRelay.ts"
import * as MemoryState from "../../../src/layers/memory/MemoryState.ts"
import { Namespaces } from "../../../src/layers/Namespaces.ts"
import { Settings } from "../../../src/layers/Settings.ts"
import { KeyId, NamespaceId } from "../../../src/schemas/Ids.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import { isTerminal } from "../../../src/schemas/JobState.ts"
import type { Caller } from "../../../src/schemas/Namespace.ts"
import { aNamespace, credits } from "../../support/factories.ts"
import { withoutRepair } from "./Bare.ts"
import { briefly } from "./Brief.ts"
import { ChaosAgent } from "./ChaosAgent.ts"
import { ChaosClient } from "./ChaosClient.ts"
import { ChaosDaemon, storesOver, type Shared } from "./ChaosDaemon.ts"
import { Dice } from "./Dice.ts"
import { Crossings } from "./Door.ts"
import { History, type Call, type Checker, type Scene } from "./History.ts"
import { onTimed } from "./Nemesis.ts"
import { SPAN_MS, type Plan } from "./Plan.ts"
import { NO_PLANT, type Plant } from "./Plant.ts"
import { Process, Sim } from "./Sim.ts"
import { spyOn } from "./Spy.ts"
import { tapTransport } from "./Tap.ts"
import { makeRequest } from "./Work.ts"

export interface Violation {
  readonly checker: string
  readonly what: string
  readonly atMs: number
}

export interface Report {
  readonly plan: Plan
  readonly violations: ReadonlyArray<Violation>
  /** `point kind` of each fault that came to pass. */
  readonly hit: ReadonlyArray<string>
  readonly states: Readonly<Record<string, number>>
  readonly steps: number
  readonly virtualMs: number
  readonly crashes: number
}

/** Before the first client comes. */
const WARM_UP_MS = 1500
/** Within which everything must be over once it is healed. */
const HEALING_MS = 240_000
/** Until a record whose writer died is looked after. */
const REPAIR_MS = 11 * 60_000
const CREDITS = [10_000_000, 700]

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
  readonly daemons: Array<ChaosDaemon> = []
  readonly agents: Array<ChaosAgent> = []
  readonly clients: Array<ChaosClient> = []
  /** Contracts that are out, by the times until which they are. */
  readonly out = new Map<string, number>()
  readonly callers: Array<Caller> = []
  healed = false
  private readonly options: RunOptions
  private readonly dice: Dice
  private readonly violations: Array<Violation> = []
  private readonly scope = Scope.makeUnsafe()
  private readonly outstanding = new Map<JobId, number>()
  private born = 0
  /** Effects that come late, and are not there yet. */
  private underWay = 0
  /** Daemons that are no more. */
  private ends = 0
  private sharedStores: Shared | null = null

  constructor(plan: Plan, options: RunOptions) {
    this.plan = plan
    this.options = options
    this.dice = new Dice(plan.seed).stream("run")
    this.sim = new Sim(this.dice.stream("sched"), Date.UTC(2026, 0, 1))
    this.outside = this.sim.process("harness")
    this.crossings = new Crossings(plan.points)
  }

  get shared(): Shared {
    if (this.sharedStores === null) throw new Error("the world is not there yet")
    return this.sharedStores
  }

  get atMs(): number {
    return this.sim.now - this.sim.startedAt
  }

  get scene(): Scene {
    const { history, shared, outstanding, sim, crossings, plan } = this
    return {
      history,
      state: shared.state,
      records: shared.records,
      live: shared.live,
      now: () => sim.now,
      outstanding: (jobId) => outstanding.get(jobId) ?? 0,
      mayForget: () => this.ends > 0 && crossings.hit.some((fault) => FORGETFUL.some((part) => fault.startsWith(part))),
      prefetch: plan.prefetch,
      isGentle: () => isGentle(history.crashes, crossings.hit),
      depths: () => this.daemons.flatMap((daemon) => daemon.depths())
    }
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
    await this.setUp()
    for (let at = 0; at < this.plan.daemons; at++) this.spawn()
    await this.sim.run(WARM_UP_MS, () => false)
    for (const fault of this.plan.timed) this.outside.after(fault.atMs, () => onTimed(this, fault))
    this.putToWork()
    await this.sim.run(SPAN_MS, () => false)
    this.heal()
    const quiet = await this.sim.run(HEALING_MS, () => this.isQuiet())
    if (!quiet) this.violate("I03", `after healing there is no end: ${this.leftOver().join("; ")}`)
    if (quiet && this.hasOpenRecords()) await this.sim.run(REPAIR_MS, () => !this.hasOpenRecords())
    await this.sim.run(3000, () => false)
    for (const { name, atEnd } of this.options.checkers) {
      for (const what of atEnd?.(this.scene) ?? []) this.violate(name, what)
    }
    return this.report()
  }

  private report(): Report {
    const states: Record<string, number> = {}
    for (const { row } of this.shared.state.jobs.values()) states[row.state] = (states[row.state] ?? 0) + 1
    const { plan, violations, crossings, sim, history } = this
    return {
      plan,
      violations,
      hit: crossings.hit,
      states,
      steps: sim.steps,
      virtualMs: this.atMs,
      crashes: history.crashes.length
    }
  }

  private setUp(): Promise<unknown> {
    const setting = Effect.gen({ self: this }, function* () {
      const shared: Shared = {
        state: MemoryState.make({ soleOwner: false }),
        records: MemoryRecords.make(),
        live: yield* Scope.provide(MemoryLive.make(), this.scope),
        broker: yield* MemoryBroker.make(),
        relay: MemoryRelay.make()
      }
      this.sharedStores = shared
      const stores = yield* Layer.buildWithMemoMap(storesOver(shared, "setup"), Layer.makeMemoMapUnsafe(), this.scope)
      const settings = Context.get(stores, Settings)
      const { settings: before } = yield* settings.current
      yield* settings.publish({
        settings: { ...before, ...rulesOf(this.plan) },
        by: "test",
        reason: "test",
        at: this.sim.now
      })
      for (const [at, amount] of CREDITS.entries()) {
        const id = NamespaceId.make(`ns_chaos${at}`)
        const namespace = yield* Context.get(stores, Namespaces).create(aNamespace({ id, name: `chaos ${at}` }))
        const grant = { namespaceId: id, amount: credits(amount), reference: "first", at: this.sim.now }
        yield* Context.get(stores, CreditLedger).grant(grant)
        this.callers.push({ namespace, keyId: KeyId.make(`key_chaos${at}`) })
      }
    })
    let done = false
    this.outside.fork(setting, Context.empty() as never, (exit) => {
      if (Exit.isFailure(exit)) throw new Error(`the world was not made: ${String(exit.cause)}`)
      done = true
    })
    return this.sim.run(1000, () => done)
  }

  spawn(): void {
    const { plan, outside, shared, crossings, sim } = this
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
      later: (ms: number, effect: Effect.Effect<unknown, unknown>) => {
        this.underWay += 1
        outside.after(ms, () => {
          this.underWay -= 1
          outside.fork(Effect.exit(effect), Context.empty())
        })
      }
    }
    const daemon = new ChaosDaemon(
      {
        shared,
        outside,
        process,
        door,
        prefetch: plan.prefetch,
        plant: (stores) => {
          const tapped = tapTransport(stores, wrote)
          const bare = plan.bare ? withoutRepair(tapped) : tapped
          return plant.stores?.(bare, { shared, after: (ms, task) => void outside.after(ms, task) }) ?? bare
        },
        plantTree: (tree) => plant.tree?.(tree) ?? tree,
        ended: (ended, how) => this.onEnded(ended, how)
      },
      id
    )
    this.trace(`${id} starts`)
    this.daemons.push(daemon)
  }

  private onEnded(daemon: ChaosDaemon, how: string): void {
    this.trace(`${daemon.id} ${how}`)
    this.ends += 1
    this.daemons.splice(this.daemons.indexOf(daemon), 1)
    this.outside.after(this.dice.pick([50, 500, 2500]), () => this.spawn())
  }

  private onCall(call: Call): void {
    const { history } = this
    history.calls.push(call)
    this.count(call)
    if (this.options.trace !== undefined) {
      const line = briefly(call)
      if (line !== null) this.trace(line)
    }
    for (const { name, during } of this.options.checkers) {
      const what = during?.(call, this.scene) ?? null
      if (what !== null) this.violate(name, what)
    }
  }

  /** Messages of jobs that the broker has. */
  private count({ point, args, result }: Call): void {
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
    const { plan, dice, sim, outside } = this
    for (const [at, agentPlan] of plan.agents.entries()) {
      const process = sim.process(`agent ${at}`)
      const house = {
        sim,
        process,
        dice: dice.stream(`agent ${at}`),
        history: this.history,
        connect: (agent: ChaosAgent) => this.connect(agent)
      }
      this.agents.push(new ChaosAgent(house, agentPlan))
    }
    for (const [at, job] of plan.jobs.entries()) {
      const caller = this.callers[job.namespace] as Caller
      const made = makeRequest(job, at)
      this.history.canaries.push({ namespaceId: caller.namespace.id, word: made.canary })
      const house = { process: outside, dice: dice.stream(`client ${at}`), daemon: () => this.someDaemon() }
      // Agents need a moment to pass their tests.
      const client = new ChaosClient(house, { ...job, atMs: job.atMs + 600 }, caller, made.request)
      this.clients.push(client)
      this.history.clients.push(client.log)
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

  private heal(): void {
    this.trace("healed")
    this.healed = true
    this.crossings.enabled = false
    this.out.clear()
    for (const agent of this.agents) agent.calm = true
    for (const { process } of this.daemons) {
      process.skewMs = 0
      process.thaw()
    }
    this.outside.fork(Effect.andThen(this.shared.broker.outage(false), this.shared.live.outage(false)), Context.empty())
  }

  private isQuiet(): boolean {
    return this.leftOver().length === 0
  }

  private leftOver(): ReadonlyArray<string> {
    const { state } = this.shared
    const left: Array<string> = []
    const open = [...state.jobs.values()].filter(({ row }) => !isTerminal(row.state))
    for (const { row } of open) left.push(`${row.job.id} is ${row.state}`)
    if (this.clients.some((client) => !client.isDone)) left.push("a client waits")
    if (this.underWay > 0) left.push("something comes late")
    if (left.length > 0) return left
    if (state.outbox.size > 0) left.push(`${state.outbox.size} messages are unsent`)
    for (const agent of this.agents) for (const key of agent.held.keys()) left.push(`${agent.nodeId} holds ${key}`)
    for (const daemon of this.daemons) left.push(...daemon.busy().map((what) => `${daemon.id} has ${what}`))
    if (!this.daemons.some((daemon) => daemon.isUp)) left.push("no daemon is up")
    return left
  }

  private hasOpenRecords(): boolean {
    return [...this.shared.records.records.values()].some(({ record }) => record.completeness === "open")
  }
}

const rulesOf = ({ graceMs }: Plan) => ({
  graceMs,
  acceptMs: 1500,
  idleMs: 3000,
  executionMs: 15_000,
  backoffMs: 100,
  backoffMaxMs: 2000,
  heartbeatMs: 1000,
  presenceMs: 3500,
  cooldownMs: 2000,
  cooldownMaxMs: 5000
})

const FORGETFUL = ["clock tracesOut", "clock recordsOut", "Traces."]
const HARSH = ["Leases.", "clock freeze", "clock drain", "clock live", "clock everything", "freeze", "late"]

const isGentle = (crashes: ReadonlyArray<string>, hit: ReadonlyArray<string>) =>
  crashes.length === 0 && !hit.some((fault) => HARSH.some((harsh) => fault.includes(harsh)))

const queuedIn = (envelope: unknown): JobId | null => {
  const { message } = (envelope ?? {}) as { readonly message?: { readonly _tag: string; readonly jobId: JobId } }
  return message?._tag === "JobQueued" ? message.jobId : null
}
