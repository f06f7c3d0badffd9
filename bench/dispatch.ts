/**
 * Does a dispatch cost more when the fleet is larger? Candidates, take and release, with 10, 1,000 and 10,000 nodes, in rounds
 * that take turns so that the machine's moods hit all sizes alike. It must stay within twice the cost at 10 nodes.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Leases } from "../src/layers/Leases.ts"
import { LiveNodes } from "../src/layers/LiveNodes.ts"
import * as MemoryLeases from "../src/layers/memory/MemoryLeases.ts"
import { MemoryLive } from "../src/layers/memory/MemoryLive.ts"
import * as MemoryLiveNodes from "../src/layers/memory/MemoryLiveNodes.ts"
import { type Line, median, times } from "./support/Line.ts"
import { DaemonId, JobId, LeaseToken, NodeId, SessionId } from "../src/schemas/Ids.ts"

const sizes = [10, 1_000, 10_000]
const sampleMax = 8
const rounds = 15
const dispatchesARound = 4_000
/** Leases that stay out while others come and go: a fleet at work. */
const inFlight = 2
const hour = 3_600_000

const announceFleet = Effect.fnUntraced(function* (size: number, now: number) {
  const nodes = yield* LiveNodes
  for (let i = 0; i < size; i++) {
    yield* nodes.announce(
      {
        nodeId: NodeId.make(`0x${i.toString(16).padStart(40, "0")}`),
        environment: "testnet",
        daemonId: DaemonId.make("daemon_bench"),
        generation: 1,
        sessionId: SessionId.make("session_bench"),
        lifecycle: "active",
        restrictions: [],
        healthy: true,
        region: null,
        subclouds: [],
        isolated: false,
        gpus: [],
        slots: 1,
        models: [{ name: "llama", endpoints: ["chat"], canContinue: true, loaded: true }],
        track: { firstTokenMs: 100, tokensPerSecond: 50, successRate: 1 },
        digest: "digest",
        lastSeenAt: now
      },
      now + hour + i
    )
  }
})

/** One round of dispatches; returns microseconds for each. */
const dispatches = Effect.fnUntraced(function* (now: number) {
  const leases = yield* Leases
  const jobId = JobId.make("job_bench")
  const query = { environment: "testnet", model: "llama", sampleMax, except: new Set<never>(), now } as const
  const out: Array<{ readonly nodeId: NodeId; readonly token: LeaseToken }> = []
  const from = process.hrtime.bigint()
  for (let i = 0; i < dispatchesARound; i++) {
    const [chosen] = (yield* leases.candidates(query)).nodes
    if (chosen === undefined) return yield* Effect.die("no candidate")
    const lease = { nodeId: chosen.nodeId, token: `lease_${i}` as LeaseToken, jobId, expiresAt: now + hour + i }
    if (!(yield* leases.take(lease, now))) return yield* Effect.die("no slot")
    out.push(lease)
    const oldest = out.length > inFlight ? out.shift() : undefined
    if (oldest !== undefined) yield* leases.release(oldest.nodeId, oldest.token)
  }
  const tookMicros = Number(process.hrtime.bigint() - from) / 1000
  for (const { nodeId, token } of out) yield* leases.release(nodeId, token)
  return tookMicros / dispatchesARound
})

export const run = (): Promise<Array<Line>> =>
  Effect.gen(function* () {
    const live = Layer.mergeAll(MemoryLiveNodes.layer, MemoryLeases.layer).pipe(Layer.provide(MemoryLive.layer))
    const now = Date.now()
    const fleets = yield* Effect.forEach(sizes, (size) =>
      Effect.gen(function* () {
        const context = yield* Layer.build(Layer.fresh(live))
        yield* Effect.provide(announceFleet(size, now), context)
        return { size, round: Effect.provide(dispatches(now), context), costs: new Array<number>() }
      })
    )
    for (const { round } of fleets) yield* round
    for (let i = 0; i < rounds; i++) for (const { round, costs } of fleets) costs.push(yield* round)
    const base = median(fleets[0]?.costs ?? [])
    return fleets.map(({ size, costs }) => {
      const cost = median(costs)
      return {
        what: `dispatch (candidates ${sampleMax}, take, release), ${size} nodes`,
        value: `${cost.toFixed(2)} µs`,
        against: `${base.toFixed(2)} µs at ${sizes[0]} nodes`,
        ratio: times(cost / base)
      }
    })
  }).pipe(Effect.scoped, Effect.runPromise)

if (import.meta.main) console.table(await run())
