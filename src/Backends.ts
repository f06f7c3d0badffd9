/** The one table of back ends: which one serves which contract in which profile. Nothing else enters the rooms behind the doors. */
import { join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as FileArchive from "./layers/files/FileArchive.ts"
import { type JobSink, JobSinks } from "./layers/JobSinks.ts"
import { MemoryBroker } from "./layers/memory/MemoryBroker.ts"
import * as MemoryArchive from "./layers/memory/MemoryArchive.ts"
import * as MemoryLeases from "./layers/memory/MemoryLeases.ts"
import * as MemoryModeration from "./layers/memory/MemoryModeration.ts"
import { MemoryLive } from "./layers/memory/MemoryLive.ts"
import * as MemoryLiveNodes from "./layers/memory/MemoryLiveNodes.ts"
import * as MemoryRecords from "./layers/memory/MemoryRecords.ts"
import * as MemoryRelay from "./layers/memory/MemoryRelay.ts"
import * as MemoryRateLimits from "./layers/memory/MemoryRateLimits.ts"
import * as MemoryTransport from "./layers/memory/MemoryTransport.ts"
import * as StandInRateLimits from "./layers/memory/StandInRateLimits.ts"
import * as MongoRecords from "./layers/mongodb/MongoRecords.ts"
import * as NetworkKeyFile from "./layers/files/NetworkKeyFile.ts"
import * as NetworkKey from "./layers/NetworkKey.ts"
import * as PgState from "./layers/postgres/PgState.ts"
import * as HttpSink from "./layers/outbound/HttpSink.ts"
import * as HttpWebhookSender from "./layers/outbound/HttpWebhookSender.ts"
import * as RabbitTransport from "./layers/rabbitmq/RabbitTransport.ts"
import * as RedisLive from "./layers/redis/RedisLive.ts"
import * as S3Archive from "./layers/s3/S3Archive.ts"
import * as SqliteClient from "./layers/sqlite/SqliteClient.ts"
import * as SqliteRecords from "./layers/sqlite/SqliteRecords.ts"
import * as SqliteState from "./layers/sqlite/SqliteState.ts"

/** What is true right now, and what is on its way: lost with the process in both profiles, and made again from what is stored. */
const passing = Layer.mergeAll(
  Layer.mergeAll(MemoryLiveNodes.layer, MemoryLeases.layer).pipe(Layer.provide(MemoryLive.layer)),
  MemoryTransport.layer.pipe(Layer.provide(MemoryBroker.layer)),
  MemoryRelay.layer,
  MemoryRateLimits.layer
)

/** The settings hold what moderation goes by. */
const moderated = <A, E, R>(stores: Layer.Layer<A, E, R>) => Layer.provideMerge(MemoryModeration.layer, stores)

const sqlite = (path: string) =>
  moderated(Layer.mergeAll(SqliteState.layer, SqliteRecords.layer)).pipe(Layer.provide(SqliteClient.layer({ path })))

/** The key that was given, or the one in the data folder. */
const networkKey = (given: NetworkKey.NetworkKey["Service"] | null, dataFolder: string) =>
  given === null ? NetworkKeyFile.layer(join(dataFolder, "network.key")) : NetworkKey.of(given)

/** Made by this daemon for itself: what it sealed, another one could not open, so it seals nothing. */
const ownKey = (dataFolder: string) =>
  Layer.effect(NetworkKey.NetworkKey, Effect.map(NetworkKey.NetworkKey, NetworkKey.unsealing)).pipe(
    Layer.provide(networkKey(null, dataFolder))
  )

/** One file and one archive folder within the data folder; survives kill -9. */
export const embedded = (dataFolder: string, key: NetworkKey.NetworkKey["Service"] | null = null) =>
  Layer.mergeAll(
    networkKey(key, dataFolder),
    sqlite(join(dataFolder, "resultity.db")),
    FileArchive.layer({ root: join(dataFolder, "archive") }),
    passing
  )

/** Nothing outlives the process. */
export const memory = Layer.mergeAll(
  sqlite(":memory:"),
  NetworkKey.ephemeral,
  MemoryArchive.layer.pipe(Layer.provide(MemoryRecords.layer)),
  passing
)

/** What goes out to receivers of webhooks, in every profile. */
export const outbound = (rules: HttpWebhookSender.OutboundRules) => HttpWebhookSender.layer(rules)

export interface Sinks {
  /** Folders, `s3://PREFIX` in the bucket of the daemon's own options, URLs. */
  readonly places: ReadonlyArray<string>
  /** Sent to the URLs. */
  readonly token: Redacted.Redacted | null
  readonly rules: HttpWebhookSender.OutboundRules
}

/** Places that finished jobs are sent on to, in every profile. */
export const sinks = ({ places, token, rules }: Sinks, s3: Servers["s3"]) =>
  Layer.effect(
    JobSinks,
    Effect.forEach(places, (name): Effect.Effect<JobSink, SinkError> => {
      if (/^https?:\/\//.test(name)) return HttpSink.over(name, token, rules)
      if (!name.startsWith(S3) || s3 === null)
        return Effect.succeed({ name, put: FileArchive.driver(resolve(name)).put })
      return Effect.map(S3Archive.reach({ ...s3, prefix: name.slice(S3.length) }), ({ put }) => ({ name, put }))
    })
  )

type SinkError = HttpSink.SinkForbidden | Effect.Error<ReturnType<typeof S3Archive.reach>>

const S3 = "s3://"

/** Where the servers of a cluster are, and the installation's name within each of them. */
export interface Servers {
  readonly postgresUrl: Redacted.Redacted
  /** null: the daemon's own role owns the tables. */
  readonly postgresOwnerUrl: Redacted.Redacted | null
  readonly mongodbUrl: Redacted.Redacted
  readonly redisUrl: Redacted.Redacted
  readonly rabbitmqUrl: Redacted.Redacted
  readonly installation: string
  /** null: segments stand in the data folder. */
  readonly s3: Omit<S3Archive.S3Config, "prefix"> | null
}

/** Shared by any number of daemons; survives the death of any of them, and of any server but those that keep what they were told. */
export const cluster = (servers: Servers, dataFolder: string, key: NetworkKey.NetworkKey["Service"] | null = null) => {
  const { postgresUrl, postgresOwnerUrl: ownerUrl, mongodbUrl, redisUrl, rabbitmqUrl, installation, s3 } = servers
  return Layer.mergeAll(
    moderated(PgState.layer({ url: postgresUrl, schema: installation, ...(ownerUrl === null ? {} : { ownerUrl }) })),
    key === null ? ownKey(dataFolder) : NetworkKey.of(key),
    MongoRecords.layer({ url: mongodbUrl, database: installation }),
    StandInRateLimits.layer.pipe(Layer.provideMerge(RedisLive.layer({ url: redisUrl, prefix: installation }))),
    RabbitTransport.layer({ url: rabbitmqUrl, prefix: installation }),
    s3 === null
      ? FileArchive.layer({ root: join(dataFolder, "archive") })
      : S3Archive.layer({ ...s3, prefix: installation })
  )
}
