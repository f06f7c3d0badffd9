/** Faults that come by the clock and not at a point of the road. */
import { Context, Effect } from "effect"
import type { TimedFault } from "./Plan.ts"
import type { Run } from "./Run.ts"

const DECIDING = [
  "JobStore",
  "JobSurvey",
  "Outbox",
  "Namespaces",
  "NodeRegistry",
  "Catalog",
  "Daemons",
  "SweeperStates"
]
const REMEMBERING = ["JobRecords", "Traces", "Logs", "RecordRetention", "Incidents"]

export const onTimed = (run: Run, { kind, ms, which }: TimedFault): void => {
  run.crossings.hit.push(`clock ${kind}`)
  run.trace(`fault ${kind} for ${ms} ms`)
  const { outside, shared } = run
  const daemon = run.daemons[which % Math.max(1, run.daemons.length)]
  const agent = run.agents[which % run.agents.length]
  const act = (effect: Effect.Effect<void>) => outside.fork(effect, Context.empty())
  const takeOut = (contracts: ReadonlyArray<string>) => {
    for (const contract of contracts) run.out.set(contract, Math.max(run.out.get(contract) ?? 0, run.sim.now + ms))
  }
  switch (kind) {
    case "crash":
      run.history.crashes.push(`${daemon?.id} by the clock`)
      return daemon?.crash("crashed")
    case "drain":
      return daemon?.drain()
    case "freeze":
      return daemon?.process.freeze(ms)
    case "storeOut":
      return takeOut(DECIDING)
    case "recordsOut":
      return takeOut(REMEMBERING)
    case "tracesOut":
      return takeOut(["Traces"])
    case "brokerOut":
      act(shared.broker.outage(true))
      outside.after(ms, () => act(shared.broker.outage(false)))
      return
    case "brokerWipe":
      run.forgetMessages()
      return act(shared.broker.wipe)
    case "cutConsumers":
      return act(shared.broker.cutConsumers(({ connection }) => connection === daemon?.id))
    case "liveOut":
      act(shared.live.outage(true))
      outside.after(ms, () => act(shared.live.outage(false)))
      return
    case "liveWipe":
      return act(shared.live.wipe)
    case "skew":
      if (daemon !== undefined) daemon.process.skewMs += which % 3 === 0 ? -ms : ms
      return
    case "agentCut":
      return agent?.cut(ms)
    case "agentRestart":
      return agent?.restart(ms)
    case "everything":
      for (const each of run.daemons.slice()) each.crash("crashed")
  }
}
