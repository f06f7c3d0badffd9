/**
 * The supervision tree in start order. Stopping is the reverse, and the drain before it: stop taking work, let jobs finish within the patience,
 * hand the rest on. Needs every contract (from `Backends`) and the `DaemonConfig`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Dispatcher from "./actors/dispatch/Dispatcher.ts"
import { Heart } from "./actors/Heart.ts"
import { Admission } from "./actors/job/Admission.ts"
import { FreshJobs } from "./actors/job/FreshJobs.ts"
import { JobFeeds } from "./actors/job/JobFeed.ts"
import * as JobIntake from "./actors/job/JobIntake.ts"
import * as JobMail from "./actors/job/JobMail.ts"
import * as JobReading from "./actors/job/JobReading.ts"
import { JobRelay } from "./actors/job/JobRelay.ts"
import { JobSupervisor } from "./actors/job/JobSupervisor.ts"
import { ModelGate } from "./actors/job/ModelGate.ts"
import { OverloadGate } from "./actors/job/OverloadGate.ts"
import { Publisher } from "./actors/job/Publisher.ts"
import { LongWork } from "./actors/LongWork.ts"
import * as SettingsWatch from "./actors/SettingsWatch.ts"
import { Mail } from "./actors/Mail.ts"
import { NodeSupervisor } from "./actors/node/NodeSupervisor.ts"
import * as Probes from "./actors/Probes.ts"
import { ReceiptDesk } from "./actors/ReceiptDesk.ts"
import * as ReachLayer from "./actors/quality/ReachLayer.ts"
import { Root } from "./actors/Root.ts"
import { SweepSupervisor } from "./actors/sweep/SweepSupervisor.ts"
import { Restarts } from "./http/Restarts.ts"
import * as Server from "./http/Server.ts"
import { ActorEvents } from "./kernel/ActorEvents.ts"
import { Registry } from "./kernel/Registry.ts"
import { DaemonConfig } from "./layers/DaemonConfig.ts"
import { JobSurvey } from "./layers/JobStore.ts"
import { Leases } from "./layers/Leases.ts"
import { LiveNodes } from "./layers/LiveNodes.ts"
import { Readiness } from "./layers/Readiness.ts"
import { Settings } from "./layers/Settings.ts"
import { Transport } from "./layers/Transport.ts"
import { Snapshots } from "./snapshots/Snapshots.ts"

/** For a daemon of a cluster: the program around everything here. */
export { withSharedClock } from "./kernel/SharedClock.ts"

const dispatcher = Layer.effectDiscard(
  Effect.gen(function* () {
    const root = yield* Root
    const house = {
      daemonId: (yield* DaemonConfig).daemonId,
      avoided: new Map(),
      registry: yield* Registry,
      leases: yield* Leases,
      live: yield* LiveNodes,
      settings: yield* Settings
    }
    yield* Effect.orDie(root.start(Dispatcher.spec(house)))
  })
)

const intake = Layer.effectDiscard(
  Effect.gen(function* () {
    const root = yield* Root
    const { lanePrefetch } = yield* DaemonConfig
    const house = { transport: yield* Transport, survey: yield* JobSurvey, jobs: yield* JobSupervisor, lanePrefetch }
    yield* Effect.orDie(root.start(JobIntake.spec(house)))
  })
)

const kernel = Root.layer.pipe(Layer.provideMerge(Layer.mergeAll(Registry.layer, ActorEvents.layer)))

/** Everything that acts, without the listeners. */
export const actors = Mail.open.pipe(
  Layer.provideMerge(Layer.mergeAll(SweepSupervisor.layer, JobMail.layer, SettingsWatch.layer)),
  Layer.provideMerge(ReachLayer.layer),
  Layer.provideMerge(Layer.mergeAll(Admission.layer, JobReading.layer)),
  Layer.provideMerge(Layer.mergeAll(ModelGate.layer, OverloadGate.layer)),
  Layer.provideMerge(intake),
  Layer.provideMerge(JobSupervisor.layer),
  Layer.provideMerge(JobRelay.layer),
  Layer.provideMerge(Layer.mergeAll(JobFeeds.layer, FreshJobs.layer, Publisher.layer)),
  Layer.provideMerge(dispatcher),
  Layer.provideMerge(NodeSupervisor.layer),
  Layer.provideMerge(Mail.layer),
  Layer.provideMerge(kernel),
  Layer.provideMerge(ReceiptDesk.layer),
  Layer.provideMerge(Layer.mergeAll(Heart.layer, Probes.layer, LongWork.layer, Snapshots.layer))
)

/** An operator may restart one actor, or a supervisor with all below it. */
const restarts = Layer.effect(
  Restarts,
  Effect.map(Root, (root) => (address: string) => root.restartChild(address))
)

export const layer = Server.layer.pipe(Layer.provide(restarts), Layer.provideMerge(actors))

/** Runs until the daemon must not go on: its tree escalated, or it was fenced. */
export const untilLost = Effect.gen(function* () {
  const root = yield* Root
  const heart = yield* Heart
  return yield* Effect.raceFirst(root.escalated, heart.fenced)
})

/** No new work; what runs may finish for so long; then what is left goes to whoever comes next. */
export const drain = Effect.gen(function* () {
  const { drainMs } = yield* DaemonConfig
  const readiness = yield* Readiness
  const jobs = yield* JobSupervisor
  yield* Effect.logInfo("draining", { jobs: yield* jobs.size, drainMs })
  yield* readiness.startDrain
  yield* (yield* Root).stopChild(JobIntake.INTAKE)
  yield* jobs.handBackIdle
  const quiet = Effect.repeat(jobs.size, { until: (size) => size === 0, schedule: Schedule.spaced("20 millis") })
  yield* Effect.timeoutOption(quiet, drainMs)
  yield* jobs.drain
  yield* (yield* Heart).leave
  yield* Effect.logInfo("drained")
})
