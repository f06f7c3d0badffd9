/** The acting part of a daemon of the world: `Orchestrator.actors`, without probes and listeners. */
import { Effect, Layer } from "effect"
import * as Dispatcher from "../../src/actors/dispatch/Dispatcher.ts"
import { Heart } from "../../src/actors/Heart.ts"
import { Admission } from "../../src/actors/job/Admission.ts"
import { FreshJobs } from "../../src/actors/job/FreshJobs.ts"
import { JobFeeds } from "../../src/actors/job/JobFeed.ts"
import * as JobIntake from "../../src/actors/job/JobIntake.ts"
import * as JobMail from "../../src/actors/job/JobMail.ts"
import * as JobReading from "../../src/actors/job/JobReading.ts"
import { JobRelay } from "../../src/actors/job/JobRelay.ts"
import { JobSupervisor } from "../../src/actors/job/JobSupervisor.ts"
import { ModelGate } from "../../src/actors/job/ModelGate.ts"
import { OverloadGate } from "../../src/actors/job/OverloadGate.ts"
import { Publisher } from "../../src/actors/job/Publisher.ts"
import { Mail } from "../../src/actors/Mail.ts"
import { NodeSupervisor } from "../../src/actors/node/NodeSupervisor.ts"
import * as ReachLayer from "../../src/actors/quality/ReachLayer.ts"
import { ReceiptDesk } from "../../src/actors/ReceiptDesk.ts"
import { Root } from "../../src/actors/Root.ts"
import { SweepSupervisor } from "../../src/actors/sweep/SweepSupervisor.ts"
import { ActorEvents } from "../../src/kernel/ActorEvents.ts"
import { Registry } from "../../src/kernel/Registry.ts"
import { DaemonConfig } from "../../src/layers/DaemonConfig.ts"
import { JobSurvey } from "../../src/layers/JobStore.ts"
import { Leases } from "../../src/layers/Leases.ts"
import { LiveNodes } from "../../src/layers/LiveNodes.ts"
import { Settings } from "../../src/layers/Settings.ts"
import { Transport } from "../../src/layers/Transport.ts"
import { snapshotHouse } from "./worldSnapshots.ts"

const dispatcher = Layer.effectDiscard(
  Effect.gen(function* () {
    const [registry, leases, live, settings] = [yield* Registry, yield* Leases, yield* LiveNodes, yield* Settings]
    const { daemonId } = yield* DaemonConfig
    const house = { daemonId, avoided: new Map(), registry, leases, live, settings }
    yield* Effect.orDie((yield* Root).start(Dispatcher.spec(house)))
  })
)
const intake = Layer.effectDiscard(
  Effect.gen(function* () {
    const { lanePrefetch } = yield* DaemonConfig
    const house = { transport: yield* Transport, survey: yield* JobSurvey, jobs: yield* JobSupervisor, lanePrefetch }
    yield* Effect.orDie((yield* Root).start(JobIntake.spec(house)))
  })
)

/** In start order. */
export const tree = Mail.open.pipe(
  Layer.provideMerge(Layer.mergeAll(SweepSupervisor.layer, JobMail.layer)),
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
  Layer.provideMerge(Root.layer),
  Layer.provideMerge(Layer.mergeAll(Registry.layer, ActorEvents.layer)),
  Layer.provideMerge(ReceiptDesk.layer),
  Layer.provideMerge(Layer.mergeAll(Heart.layer, snapshotHouse))
)
