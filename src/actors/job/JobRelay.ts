/**
 * The pieces of jobs on their way between daemons: from the feed of a job's actor to daemons with readers of it, and from there into the feed that
 * those readers share. What does not arrive, or came before somebody listened, is read from the traces.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import { Registry } from "../../kernel/Registry.ts"
import { DaemonConfig } from "../../layers/DaemonConfig.ts"
import { waitOut, type Outage } from "../../layers/Outage.ts"
import { Relay, type RelayedPieces } from "../../layers/Relay.ts"
import { Traces } from "../../layers/Traces.ts"
import { jobAddress } from "../../schemas/Address.ts"
import type { DaemonId } from "../../schemas/Ids.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import { Mail } from "../Mail.ts"
import { close, JobFeeds, publish, type JobFeed } from "./JobFeed.ts"

/** Batches that may wait to be sent; a follower that misses one reads the traces. */
const SENDING_MAX = 4096
const AT_ONCE = 64
const PAGE = 512

interface Sending {
  readonly to: DaemonId
  readonly pieces: RelayedPieces
}

export class JobRelay extends Context.Service<
  JobRelay,
  {
    /** What this feed publishes from now on goes to that daemon as well. */
    readonly follow: (feed: JobFeed, by: DaemonId) => void
    /** Asks the job's owner for what it publishes, and fills the feed with what is stored. */
    readonly followOwner: (feed: JobFeed, row: JobRow) => Effect.Effect<void>
  }
>()("resultity/actors/job/JobRelay") {
  static readonly layer = Layer.effect(
    JobRelay,
    Effect.suspend(() => make)
  )
}

const make = Effect.gen(function* () {
  const { daemonId } = yield* DaemonConfig
  const relay = yield* Relay
  const mail = yield* Mail
  const house: Receiving = {
    feeds: yield* JobFeeds,
    registry: yield* Registry,
    traces: yield* Traces,
    catching: new Set()
  }
  const scope = yield* Effect.scope
  const waiting = yield* Queue.bounded<Sending>(SENDING_MAX)
  const sendOne = ({ to, pieces }: Sending) =>
    Effect.catch(relay.send(to, pieces), ({ during }) => Effect.logDebug("pieces not relayed", { during }))
  // One after the other for each pass: batches of one job must not overtake each other.
  const sending = Effect.gen(function* () {
    const batch = yield* Queue.takeBetween(waiting, 1, AT_ONCE)
    yield* Effect.forEach(batch, sendOne, { concurrency: AT_ONCE, discard: true })
  })
  yield* Effect.forkScoped(Effect.forever(sending))

  const receiving = Effect.scoped(
    Effect.gen(function* () {
      const receiver = yield* relay.receive(daemonId)
      while (true) {
        for (const pieces of yield* receiver.take) {
          const gap = onPieces(house, pieces)
          if (gap !== null) yield* Effect.forkIn(catchUp(house, gap), scope)
        }
      }
    })
  )
  yield* Effect.forkScoped(waitOut(receiving))

  const follow = (feed: JobFeed, by: DaemonId): void => {
    if (by === daemonId) return
    feed.followers.add(by)
    feed.onPublished ??= (first, last) => {
      const pieces = { jobId: feed.jobId, epoch: feed.epoch, events: feed.events.slice(first - 1, last) }
      for (const to of feed.followers) Queue.offerUnsafe(waiting, { to, pieces })
    }
  }
  const followOwner = (feed: JobFeed, { owner }: JobRow) =>
    Effect.suspend(() => {
      if (owner !== null && owner !== daemonId) {
        mail.post({ _tag: "Inbox", daemonId: owner }, { _tag: "FollowJob", jobId: feed.jobId, by: daemonId })
      }
      return Effect.forkIn(catchUp(house, feed), scope)
    }).pipe(Effect.asVoid)

  return JobRelay.of({ follow, followOwner })
})

interface Receiving {
  readonly feeds: JobFeeds["Service"]
  readonly registry: Registry["Service"]
  readonly traces: Traces["Service"]
  /** Feeds that are being filled from the traces. */
  readonly catching: Set<JobFeed>
}

const hasActor = ({ registry }: Receiving, { jobId }: JobFeed) => registry.find(jobAddress(jobId))._tag === "Some"

/** The feed that lacks something before these pieces, or null. A feed with an actor here is the actor's alone. */
const onPieces = (house: Receiving, { jobId, epoch, events }: RelayedPieces): JobFeed | null => {
  const feed = house.feeds.find(jobId)
  if (feed === undefined || feed.closed !== null || epoch < feed.epoch || hasActor(house, feed)) return null
  if (epoch > feed.epoch) feed.epoch = epoch
  const first = events[0]
  if (first === undefined) return null
  if (first.seq > feed.events.length + 1) return feed
  add(feed, events)
  return null
}

/**
 * What readers saw stays: pieces of a later owner that say something else about a number that was shown end the reading here. That takes a trace
 * store that was out while owner and node were both lost.
 */
const add = (feed: JobFeed, events: ReadonlyArray<TokenEvent>): void => {
  for (const event of events) {
    const known = feed.events[event.seq - 1]
    if (known === undefined) feed.events.push(event)
    else if (known.text !== event.text || known.choice !== event.choice) return close(feed, "left")
  }
  publish(feed, feed.events.length)
}

/** Page by page, once at a time for each feed; while the traces are out, the next look tries again. */
const catchUp = (house: Receiving, feed: JobFeed): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (house.catching.has(feed) || hasActor(house, feed)) return Effect.void
    house.catching.add(feed)
    return fill(house, feed).pipe(
      Effect.catch(({ during }) => Effect.logDebug("feed not filled", { jobId: feed.jobId, during })),
      Effect.ensuring(Effect.sync(() => house.catching.delete(feed)))
    )
  })

const SCOPE = { _tag: "Operator", by: "daemon/relay" } as const

const fill = (house: Receiving, feed: JobFeed): Effect.Effect<void, Outage> =>
  Effect.gen(function* () {
    while (true) {
      const events = yield* house.traces.read(SCOPE, feed.jobId, feed.events.length, PAGE)
      if (feed.closed !== null || hasActor(house, feed)) return
      if (events.length > 0 && (events[0]?.seq ?? 0) <= feed.events.length + 1) add(feed, events)
      if (events.length < PAGE) return
    }
  })
