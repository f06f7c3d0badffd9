/** The jobs of this daemon. A crash of one never touches another, and one that crashes again and again ends as poison by its own count. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { Registry } from "../../kernel/Registry.ts"
import { DaemonConfig } from "../../layers/DaemonConfig.ts"
import { Incidents } from "../../layers/Incidents.ts"
import { JobRecords } from "../../layers/JobRecords.ts"
import { JobStore } from "../../layers/JobStore.ts"
import { Leases } from "../../layers/Leases.ts"
import { Logs } from "../../layers/Logs.ts"
import * as Metrics from "../../layers/Metrics.ts"
import { Moderation } from "../../layers/Moderation.ts"
import { Namespaces } from "../../layers/Namespaces.ts"
import { waitOut } from "../../layers/Outage.ts"
import { Settings } from "../../layers/Settings.ts"
import { Traces } from "../../layers/Traces.ts"
import { jobAddress } from "../../schemas/Address.ts"
import type { JobId, LeaseToken, NamespaceId, NodeId } from "../../schemas/Ids.ts"
import { isOutage, Root } from "../Root.ts"
import { FreshJobs } from "./FreshJobs.ts"
import { HeldDeliveries, type Hold } from "./HeldDeliveries.ts"
import { behavior } from "./JobActor.ts"
import type { Arrival, JobHouse } from "./JobActorState.ts"
import { JobFeeds } from "./JobFeed.ts"
import type { JobMessage } from "./JobMessages.ts"
import { JobRelay } from "./JobRelay.ts"
import { Mail } from "../Mail.ts"
import { Publisher } from "./Publisher.ts"

/** Batches of pieces and other messages that may wait for one job. */
const MAILBOX_MAX = 1024
/** How long a namespace's weight is taken from memory. */
const WEIGHT_FRESH_MS = 10_000

export class JobSupervisor extends Context.Service<
  JobSupervisor,
  {
    /** Afterwards the job has an actor here; false: it had one before. A job that has one and waits is held by its newest delivery. */
    readonly start: (jobId: JobId, namespaceId: NamespaceId, arrival: Arrival) => Effect.Effect<boolean>
    /** Jobs with an actor here. */
    readonly size: Effect.Effect<number>
    /** Tells jobs that nobody works on to hand themselves on; the others go on. */
    readonly handBackIdle: Effect.Effect<void>
    /** Tells every job to hand itself on; attempts under way stay with their nodes. Returns when all actors have ended. */
    readonly drain: Effect.Effect<void>
  }
>()("resultity/actors/job/JobSupervisor") {
  static readonly layer = Layer.effect(
    JobSupervisor,
    Effect.gen(function* () {
      const house = yield* makeHouse
      const settings = yield* Settings
      const weightOf = yield* makeWeights
      const root = yield* Root
      const deliveries = new HeldDeliveries((jobId) => house.registry.find(jobAddress(jobId))._tag === "Some")
      const jobs = yield* root.startSupervisor({
        address: "jobs",
        strategy: "oneForOne",
        intensity: 1000,
        period: "10 seconds",
        backoff: { first: "50 millis", max: "5 seconds" },
        waitOut: isOutage
      })
      const start = Effect.fnUntraced(function* (jobId: JobId, namespaceId: NamespaceId, arrival: Arrival) {
        const current = yield* settings.current
        const weight = yield* weightOf(namespaceId)
        // The copy is of before the first claim; a later message says that there was one.
        const { delivery } = arrival
        if (delivery !== null && (delivery.redelivered || delivery.envelope.attempt > 0)) house.fresh.take(jobId)
        const startWith = (hold: Hold) =>
          jobs
            .start({
              address: jobAddress(jobId),
              kind: "job",
              behavior: behavior(house, { ...arrival, jobId, delivery: hold, settings: current.settings, weight }),
              mailbox: { capacityMax: MAILBOX_MAX, whenFull: "refuse" },
              restart: "transient",
              drainMax: "2 seconds"
            })
            .pipe(
              Effect.as("started" as const),
              Effect.catchTag("AlreadyStarted", () => Effect.succeed("there" as const))
            )
        return (yield* deliveries.start(jobId, arrival.delivery, startWith)) === "started"
      })
      const size = Effect.map(jobs.children, (children) => children.length)
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.andThen(
            Effect.flatMap(size, (count) => Metric.update(Metrics.jobsActive, count)),
            Effect.sleep("1 second")
          )
        )
      )
      const tellAll = (message: JobMessage) =>
        Effect.map(jobs.children, (children) => {
          for (const address of children) {
            const found = house.registry.find<JobMessage>(address)
            if (found._tag === "Some") found.value.tellUnsafe(message)
          }
        })
      const drain = Effect.andThen(tellAll({ _tag: "Drain", onlyIdle: false }), jobs.drain("5 seconds"))
      return JobSupervisor.of({ start, size, handBackIdle: tellAll({ _tag: "Drain", onlyIdle: true }), drain })
    })
  )
}

const makeHouse: Effect.Effect<
  JobHouse,
  never,
  | DaemonConfig
  | JobStore
  | JobRecords
  | Traces
  | Logs
  | Leases
  | Incidents
  | Moderation
  | Registry
  | JobFeeds
  | Publisher
  | FreshJobs
  | JobRelay
  | Mail
  | Scope.Scope
> = Effect.gen(function* () {
  const { daemonId } = yield* DaemonConfig
  return {
    daemonId,
    store: yield* JobStore,
    records: yield* JobRecords,
    traces: yield* Traces,
    logs: yield* Logs,
    ...(yield* makeRelease),
    incidents: yield* Incidents,
    moderation: yield* Moderation,
    registry: yield* Registry,
    feeds: yield* JobFeeds,
    publisher: yield* Publisher,
    fresh: yield* FreshJobs,
    relay: yield* JobRelay,
    mail: yield* Mail
  }
})

/** A lease that could not be given back for so long has run out by itself. Who dies before then leaves it to the node's daemon (`NodeLeases`). */
const RELEASE_MAX = "5 minutes"

/**
 * The lease of a claimed attempt is nobody else's, however late it is given back. That of an attempt which is yet to be claimed may be taken again at
 * any time, and must not be freed then: it is given back now, or by the node's daemon, which can tell.
 */
const makeRelease = Effect.gen(function* () {
  const leases = yield* Leases
  const scope = yield* Effect.scope
  const begin = (effect: Effect.Effect<unknown>) => Effect.asVoid(Effect.forkIn(effect, scope))
  return {
    release: (nodeId: NodeId, lease: LeaseToken) =>
      begin(Effect.timeoutOption(waitOut(leases.release(nodeId, lease)), RELEASE_MAX)),
    releaseUnclaimed: (nodeId: NodeId, lease: LeaseToken) =>
      begin(
        Effect.catch(leases.release(nodeId, lease), ({ during }) =>
          Effect.logDebug("a slot waits for its node's next heartbeats", { nodeId, during })
        )
      )
  }
})

/** A weight that cannot be looked up now is 1: fairness may wait for a store, a job may not. */
const makeWeights = Effect.gen(function* () {
  const namespaces = yield* Namespaces
  const known = new Map<NamespaceId, { readonly weight: number; readonly until: number }>()
  return Effect.fnUntraced(function* (id: NamespaceId) {
    const now = yield* Clock.currentTimeMillis
    const fresh = known.get(id)
    if (fresh !== undefined && fresh.until > now) return fresh.weight
    const found = yield* Effect.catch(namespaces.get(id), () => Effect.succeed(null))
    const weight = found?.rules.weight ?? 1
    known.set(id, { weight, until: now + WEIGHT_FRESH_MS })
    return weight
  })
})
