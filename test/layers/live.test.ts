/** What is live, over memory: the back ends of tests, of simulation and of the embedded default. */
import { Effect, Layer } from "effect"
import * as MemoryBroker from "../../src/layers/memory/MemoryBroker.ts"
import * as MemoryLeases from "../../src/layers/memory/MemoryLeases.ts"
import * as MemoryLive from "../../src/layers/memory/MemoryLive.ts"
import * as MemoryLiveNodes from "../../src/layers/memory/MemoryLiveNodes.ts"
import * as MemoryRelay from "../../src/layers/memory/MemoryRelay.ts"
import * as MemoryRateLimits from "../../src/layers/memory/MemoryRateLimits.ts"
import * as MemoryTransport from "../../src/layers/memory/MemoryTransport.ts"
import { RateLimits } from "../../src/layers/RateLimits.ts"
import { leasesContract } from "./contracts/Leases.contract.ts"
import { liveNodesContract } from "./contracts/LiveNodes.contract.ts"
import { relayContract } from "./contracts/Relay.contract.ts"
import { rateLimitsContract } from "./contracts/RateLimits.contract.ts"
import { transportContract } from "./contracts/Transport.contract.ts"

const live = Layer.mergeAll(MemoryLiveNodes.layer, MemoryLeases.layer).pipe(
  Layer.provideMerge(MemoryLive.MemoryLive.layer)
)
const liveFaults = {
  outage: (on: boolean) => Effect.flatMap(MemoryLive.MemoryLive, (memory) => memory.outage(on)),
  wipe: Effect.flatMap(MemoryLive.MemoryLive, (memory) => memory.wipe)
}
liveNodesContract("memory", live, liveFaults)
leasesContract("memory", live, liveFaults)

const hub = MemoryRelay.make()
relayContract("memory", MemoryRelay.over(hub), { outage: (on) => Effect.sync(() => MemoryRelay.outage(hub, on)) })

const limits = MemoryRateLimits.make()
rateLimitsContract("memory", Layer.succeed(RateLimits, limits.rateLimits), limits)

transportContract("memory", MemoryTransport.layer.pipe(Layer.provideMerge(MemoryBroker.MemoryBroker.layer)), {
  connect: MemoryTransport.make(),
  outage: (on) => Effect.flatMap(MemoryBroker.MemoryBroker, (broker) => broker.outage(on)),
  wipe: Effect.flatMap(MemoryBroker.MemoryBroker, (broker) => broker.wipe)
})
