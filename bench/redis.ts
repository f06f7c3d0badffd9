/**
 * Does what Redis is asked cost more when the fleet is larger, and what does our way of asking take from it? Dispatch, `models` and heartbeats with 10
 * and 10,000 nodes, in turns; limits and pieces against the bare driver. Dispatch must stay within twice the cost at 10 nodes. Needs `REDIS_URL`.
 */
import { randomBytes } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Redis } from "ioredis"
import { Leases } from "../src/layers/Leases.ts"
import { LiveNodes } from "../src/layers/LiveNodes.ts"
import { RateLimits } from "../src/layers/RateLimits.ts"
import { Relay } from "../src/layers/Relay.ts"
import * as RedisLive from "../src/layers/redis/RedisLive.ts"
import { DaemonId, JobId, LeaseToken, NodeId, SessionId } from "../src/schemas/Ids.ts"
import { type Line, median, rate, times } from "./support/Line.ts"

const SIZES = [10, 10_000] as const
const MODELS = 10
const SAMPLE_MAX = 8
const ROUNDS = 9
/** Of each kind of call in a round. */
const CALLS = 400
const AT_ONCE = 64
const MANY = 20_000
const HOUR = 3_600_000

const nodeId = (n: number) => NodeId.make(`0x${n.toString(16).padStart(40, "0")}`)
const sessionId = SessionId.make("session_bench")
const model = (n: number) => `model-${n % MODELS}`
const jobId = JobId.make("job_bench")

const presence = (n: number, now: number) => ({
  nodeId: nodeId(n),
  environment: "testnet" as const,
  daemonId: DaemonId.make("daemon_bench"),
  generation: 1,
  sessionId,
  lifecycle: "active" as const,
  restrictions: [],
  healthy: true,
  region: null,
  subclouds: [],
  isolated: false,
  gpus: [],
  slots: 1,
  models: [{ name: model(n), endpoints: ["chat" as const], canContinue: true, loaded: true }],
  track: { firstTokenMs: 100, tokensPerSecond: 50, successRate: 1 },
  digest: "digest",
  lastSeenAt: now
})

/** Microseconds of each of so many calls, one after the other. */
const cost = <E>(calls: number, call: (n: number) => Effect.Effect<unknown, E>) =>
  Effect.gen(function* () {
    const from = performance.now()
    for (let n = 0; n < calls; n++) yield* call(n)
    return ((performance.now() - from) * 1000) / calls
  })

const bareClient = (url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => new Redis(url)),
    (redis) => Effect.sync(() => redis.disconnect())
  )

const asFleet = Effect.fnUntraced(function* (url: string, size: number, now: number) {
  const prefix = `bench-${randomBytes(6).toString("hex")}`
  const bare = yield* bareClient(url)
  const context = yield* Layer.build(Layer.fresh(RedisLive.layer({ url: Redacted.make(url), prefix })))
  const [nodes, leases] = [Context.get(context, LiveNodes), Context.get(context, Leases)]
  yield* Effect.forEach(
    Array.from({ length: size }, (_, n) => n),
    (n) => nodes.announce(presence(n, now), now + HOUR),
    { concurrency: AT_ONCE, discard: true }
  )
  // All of them run out, and then nothing is left but what is known of their sessions.
  const known = Array.from({ length: size }, (_, n) => `{${prefix}}:generation:${nodeId(n)}`)
  yield* Effect.addFinalizer(() =>
    Effect.ignore(
      Effect.andThen(
        nodes.list(now + 2 * HOUR),
        Effect.tryPromise(() => bare.unlink(...known))
      )
    )
  )
  const dispatch = (n: number) =>
    Effect.gen(function* () {
      const query = {
        environment: "testnet",
        model: model(n % size),
        sampleMax: SAMPLE_MAX,
        except: new Set<never>(),
        now
      } as const
      const [chosen] = (yield* leases.candidates(query)).nodes
      if (chosen === undefined) return yield* Effect.die("no candidate")
      const token = LeaseToken.make(`lease_${n}`)
      if (!(yield* leases.take({ nodeId: chosen.nodeId, token, jobId, expiresAt: now + HOUR }, now))) {
        return yield* Effect.die("no slot")
      }
      yield* leases.release(chosen.nodeId, token)
    })
  return {
    dispatch: cost(CALLS, dispatch),
    models: cost(CALLS, () => nodes.models("testnet", now)),
    heartbeat: cost(CALLS, (n) => nodes.refresh(nodeId(n % size), sessionId, { seenAt: now }, now + HOUR))
  }
})

const KINDS = {
  dispatch: `dispatch (candidates ${SAMPLE_MAX}, take, release)`,
  models: "models",
  heartbeat: "heartbeat"
} as const
type Kind = keyof typeof KINDS
const kinds: ReadonlyArray<Kind> = ["dispatch", "models", "heartbeat"]

const byFleet = (url: string) =>
  Effect.gen(function* () {
    const now = Date.now()
    const fleets = yield* Effect.forEach(SIZES, (size) => asFleet(url, size, now))
    const costs = fleets.map(() => ({
      dispatch: new Array<number>(),
      models: new Array<number>(),
      heartbeat: new Array<number>()
    }))
    for (let round = -1; round < ROUNDS; round++) {
      for (const [at, fleet] of fleets.entries()) {
        // The first round warms up and counts for nothing.
        for (const kind of kinds) {
          const micros = yield* fleet[kind]
          if (round >= 0) costs[at]?.[kind].push(micros)
        }
      }
    }
    return kinds.map((kind): Line => {
      const [few = Number.NaN, many = Number.NaN] = costs.map((of) => median(of[kind]))
      return {
        what: `Redis ${KINDS[kind]}, ${SIZES[1]} nodes`,
        value: `${many.toFixed(0)} µs`,
        against: `${few.toFixed(0)} µs at ${SIZES[0]} nodes`,
        ratio: times(many / few)
      }
    })
  }).pipe(Effect.scoped)

/** So many calls, some at once; how many a second. */
const speed = <E>(call: (n: number) => Effect.Effect<unknown, E>) =>
  Effect.gen(function* () {
    const from = performance.now()
    const all = Array.from({ length: MANY }, (_, n) => n)
    yield* Effect.forEach(all, call, { concurrency: AT_ONCE, discard: true })
    return (MANY * 1000) / (performance.now() - from)
  })

const byDriver = (url: string) =>
  Effect.gen(function* () {
    const prefix = `bench-${randomBytes(6).toString("hex")}`
    const context = yield* Layer.build(Layer.fresh(RedisLive.layer({ url: Redacted.make(url), prefix })))
    const [limits, relay] = [Context.get(context, RateLimits), Context.get(context, Relay)]
    const bare = yield* bareClient(url)
    const now = Date.now()
    const to = DaemonId.make("daemon_bench")
    const events = [{ seq: 1, choice: 0, text: " word", offsetMs: 12 }]
    const text = JSON.stringify([jobId, 1, events])
    const pairs = {
      "limits taken": [
        (n: number) => limits.take({ name: `key/${n % 100}`, ratePerSecond: 100, burst: 200 }, now + n),
        (n: number) => Effect.promise(() => bare.set(`${prefix}:${n % 100}`, "1", "PX", 1000))
      ],
      "pieces sent": [
        (n: number) => relay.send(to, { jobId, epoch: n, events }),
        () => Effect.promise(() => bare.publish(prefix, text))
      ]
    } as const
    const lines: Array<Line> = []
    for (const [what, [ours, raw]] of Object.entries(pairs)) {
      const seen: Array<number> = []
      const base: Array<number> = []
      for (let round = -1; round < 3; round++) {
        const [a, b] = [yield* speed(ours), yield* speed(raw)]
        if (round < 0) continue
        seen.push(a)
        base.push(b)
      }
      lines.push({
        what: `Redis ${what}, ${AT_ONCE} at a time`,
        value: rate(median(seen)),
        against: `${rate(median(base))} plain commands of the bare driver`,
        ratio: times(median(seen) / median(base))
      })
    }
    return lines
  }).pipe(Effect.scoped)

export const run = async (): Promise<Array<Line>> => {
  const url = process.env["REDIS_URL"]
  if (url === undefined) {
    console.warn("skipped: the costs of Redis; set REDIS_URL to a Redis server")
    return []
  }
  return [...(await Effect.runPromise(byFleet(url))), ...(await Effect.runPromise(byDriver(url)))]
}

if (import.meta.main) console.table(await run())
