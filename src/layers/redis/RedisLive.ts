/** Everything that Redis keeps, over one client: what is true right now, and what is on its way between daemons. */
import * as Layer from "effect/Layer"
import * as RedisClient from "./RedisClient.ts"
import * as RedisLeases from "./RedisLeases.ts"
import * as RedisLiveNodes from "./RedisLiveNodes.ts"
import * as RedisRateLimits from "./RedisRateLimits.ts"
import * as RedisRelay from "./RedisRelay.ts"

export type { RedisOptions } from "./RedisClient.ts"

export const layer = (options: RedisClient.RedisOptions) =>
  Layer.mergeAll(RedisLiveNodes.layer, RedisLeases.layer, RedisRateLimits.layer, RedisRelay.layer).pipe(
    Layer.provide(RedisClient.layer(options))
  )
