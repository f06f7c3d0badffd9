/** What is live, over a real Redis: the suites, in a database of their own. What only Redis could get wrong stands in `redis/`. */
import { Effect } from "effect"
import { LiveNodes } from "../../src/layers/LiveNodes.ts"
import { leasesContract } from "./contracts/Leases.contract.ts"
import { liveNodesContract } from "./contracts/LiveNodes.contract.ts"
import { rateLimitsContract } from "./contracts/RateLimits.contract.ts"
import { relayContract } from "./contracts/Relay.contract.ts"
import { RedisRig, withRedis, type Live } from "./redis/RedisRig.ts"

withRedis("Redis", () => {
  const rig = new RedisRig()
  const { layer, wipe } = rig
  /** Over when the suite's own client says so: it comes back by itself. */
  const back = Effect.flatMap(LiveNodes, (nodes) => Effect.eventually(nodes.models("testnet", 0)))
  const outage = (on: boolean): Effect.Effect<void, never, LiveNodes> =>
    on
      ? Effect.promise(() => rig.proxy.cut())
      : Effect.andThen(
          Effect.promise(() => rig.proxy.pass()),
          Effect.asVoid(back)
        )
  const faults = { outage, wipe }

  liveNodesContract<Live>("Redis", layer, faults)
  leasesContract<Live>("Redis", layer, faults)
  rateLimitsContract<Live>("Redis", layer, faults)
  relayContract<Live>("Redis", layer, faults)
})
