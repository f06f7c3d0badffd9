/**
 * `JobStreams` over this daemon's feeds and the stores: a job with an actor here is read from its feed, one that is over from its traces, one that
 * waits from the feed that its actor will write to. Every look is scoped before anything is told.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Registry } from "../../kernel/Registry.ts"
import { DaemonConfig } from "../../layers/DaemonConfig.ts"
import { JobRecords, type Scope as ReadScope } from "../../layers/JobRecords.ts"
import { JobStore } from "../../layers/JobStore.ts"
import { waitOut, type Outage } from "../../layers/Outage.ts"
import { Traces } from "../../layers/Traces.ts"
import { Transport } from "../../layers/Transport.ts"
import { jobAddress } from "../../schemas/Address.ts"
import type { JobId, NamespaceId } from "../../schemas/Ids.ts"
import { isTerminal, type JobRow } from "../../schemas/JobState.ts"
import { refuse, type Refusal } from "../../schemas/Refusal.ts"
import { close, JobFeeds, reader, type FeedSignal, type JobFeed } from "./JobFeed.ts"
import { cancelJob } from "./JobCancel.ts"
import { explainJob } from "./JobExplain.ts"
import type { JobMessage } from "./JobMessages.ts"
import { JobStreams, type JobSignal, type Subscription } from "./JobStreams.ts"
import { JobRelay } from "./JobRelay.ts"
import { Mail } from "../Mail.ts"
import { Publisher } from "./Publisher.ts"
import { LiveNodes } from "../../layers/LiveNodes.ts"
import { Settings } from "../../layers/Settings.ts"
import { traced } from "../../layers/Traced.ts"

const PAGE = 512
const TOPIC_PREFETCH = 1000
/** A feed whose job has no actor here is compared with the store this often, in case the word of its end got lost. */
const LOOK_EVERY = "1 second"

export type ReadingHouse = Effect.Success<typeof makeHouse>

const makeHouse = Effect.gen(function* () {
  return {
    daemonId: (yield* DaemonConfig).daemonId,
    store: yield* JobStore,
    records: yield* JobRecords,
    traces: yield* Traces,
    transport: yield* Transport,
    registry: yield* Registry,
    feeds: yield* JobFeeds,
    live: yield* LiveNodes,
    settings: yield* Settings,
    publisher: yield* Publisher,
    mail: yield* Mail,
    relay: yield* JobRelay
  }
})

export const layer = Layer.effect(
  JobStreams,
  Effect.gen(function* () {
    const house = yield* makeHouse
    yield* Effect.forkScoped(waitOut(hearEnds(house)))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(LOOK_EVERY), lookAtOrphans(house))))
    return JobStreams.of({
      subscribe: traced("JobStreams.subscribe", (scope, jobId, afterSeq) => subscribe(house, scope, jobId, afterSeq)),
      row: (scope, jobId) => rowFor(house, scope, jobId),
      cancel: traced("JobStreams.cancel", (scope, jobId, cause) =>
        Effect.flatMap(rowFor(house, scope, jobId), (row) => cancelJob(house, row, cause))
      ),
      explain: traced("JobStreams.explain", (scope, jobId) =>
        Effect.flatMap(rowFor(house, scope, jobId), (row) => explainJob(house, scope, row))
      )
    })
  })
)

const sees = (scope: ReadScope, namespaceId: NamespaceId) =>
  scope._tag === "Operator" || scope.namespaceId === namespaceId

/** Another's job and no job look the same. */
const rowFor = ({ store }: ReadingHouse, scope: ReadScope, jobId: JobId): Effect.Effect<JobRow, Refusal | Outage> =>
  Effect.flatMap(store.get(jobId), (row) =>
    row !== null && sees(scope, row.job.namespaceId)
      ? Effect.succeed(row)
      : Effect.fail(refuse("not_found", "There is no such job in this namespace.", { param: "id" }))
  )

/** Where a reader reads at the moment; it changes when the job moves or ends elsewhere. */
interface Place {
  readonly take: Effect.Effect<ReadonlyArray<FeedSignal>, Outage>
  readonly position: () => number
  readonly leave: () => void
}

const subscribe = (house: ReadingHouse, scope: ReadScope, jobId: JobId, afterSeq: number) =>
  Effect.gen(function* () {
    let place = yield* findPlace(house, scope, jobId, afterSeq)
    yield* Effect.addFinalizer(() => Effect.sync(() => place.leave()))
    const take: Subscription["take"] = Effect.gen(function* () {
      while (true) {
        const signals = yield* place.take
        if (signals.at(-1)?._tag === "Moved") {
          place.leave()
          place = yield* Effect.catchTag(findPlace(house, scope, jobId, place.position()), "Refusal", Effect.die)
        }
        const told = signals.filter((signal) => signal._tag !== "Moved")
        if (told.length > 0) return told
      }
    })
    return { take } satisfies Subscription
  })

const findPlace = (house: ReadingHouse, scope: ReadScope, jobId: JobId, afterSeq: number) =>
  Effect.gen(function* () {
    const known = house.feeds.find(jobId)
    if (known !== undefined && known.closed === null && sees(scope, known.namespaceId)) {
      return readFeed(house, known, afterSeq)
    }
    const row = yield* rowFor(house, scope, jobId)
    if (isTerminal(row.state)) return yield* readTraces(house, scope, row, afterSeq)
    // The feed first, then one more look: an end in between either finds the feed or shows in the row.
    const feed = house.feeds.open(jobId, row.job.namespaceId)
    const place = readFeed(house, feed, afterSeq)
    const again = yield* house.store.get(jobId)
    if (again !== null) yield* readOn(house, feed, again)
    return place
  })

const readFeed = (house: ReadingHouse, feed: JobFeed, afterSeq: number): Place => {
  feed.readers += 1
  const leave = () => {
    feed.readers -= 1
    if (feed.readers === 0 && !hasActor(house, feed.jobId)) house.feeds.forget(feed)
  }
  return { ...reader(feed, afterSeq), leave }
}

const hasActor = ({ registry }: ReadingHouse, jobId: JobId) => registry.find(jobAddress(jobId))._tag === "Some"

/** The job ended without an actor here, so its readers go on with what is stored. An actor here says its last word itself. */
const leaveFeed = (house: ReadingHouse, feed: JobFeed) => {
  if (hasActor(house, feed.jobId)) return
  close(feed, "moved")
  house.feeds.forget(feed)
}

/** A job that is over, page by page, then its end. */
const readTraces = (house: ReadingHouse, scope: ReadScope, row: JobRow, afterSeq: number) =>
  Effect.gen(function* () {
    const record = yield* house.records.get(scope, row.job.id)
    if (NEVER_RECORDED.has(row.errorCode) || (record === null && row.attempt === 0)) return readEnd(row, afterSeq)
    if (record === null || record.tombstone !== undefined) {
      const what = record === null ? "record has been archived" : "output is not kept here any more"
      const why = `The job ended as ${row.state} and its ${what}.`
      return yield* refuse("archived", why, { jobId: row.job.id })
    }
    let position = afterSeq
    let looks = record.completeness === "open" ? RECORD_LOOKS : 0
    const take = Effect.gen(function* () {
      // It settled before its record and the rest of its trace could be written; its actor is about to.
      for (; looks > 0; looks--) {
        yield* Effect.sleep(RECORD_LOOK_EVERY)
        const found = yield* house.records.get(scope, row.job.id)
        if (found?.completeness !== "open") looks = 1
      }
      const events = yield* house.traces.read(scope, row.job.id, position, PAGE)
      position = events.at(-1)?.seq ?? position
      const signals: Array<JobSignal> = events.length === 0 ? [] : [{ _tag: "Tokens", events }]
      if (events.length < PAGE) signals.push({ _tag: "Ended", row })
      return signals
    })
    return { take, position: () => position, leave: () => {} } satisfies Place
  })

/** How often, and how many times, a reader looks for a record that is still being written; then it reads what is there. */
const RECORD_LOOK_EVERY = "500 millis"
const RECORD_LOOKS = 30

/** Ends of jobs that have nothing to read because their document never came. */
const NEVER_RECORDED: ReadonlySet<string | null> = new Set(["record_unavailable", "record_missing"])

const readEnd = (row: JobRow, afterSeq: number): Place => ({
  take: Effect.succeed([{ _tag: "Ended", row }]),
  position: () => afterSeq,
  leave: () => {}
})

/** Ends of jobs that no actor here acts for: expired where they waited, or ended by another daemon. */
const hearEnds = (house: ReadingHouse) =>
  Effect.scoped(
    Effect.gen(function* () {
      const consumer = yield* house.transport.consume({ _tag: "Topic", topic: "job" }, TOPIC_PREFETCH)
      while (true) {
        for (const { envelope, ack } of yield* consumer.take) {
          if (envelope.message._tag === "JobFinished") yield* heardEnd(house, envelope.message.jobId)
          yield* ack
        }
      }
    })
  )

const heardEnd = (house: ReadingHouse, jobId: JobId) =>
  Effect.gen(function* () {
    const found = house.registry.find<JobMessage>(jobAddress(jobId))
    if (found._tag === "Some") return void found.value.tellUnsafe({ _tag: "EndedElsewhere" })
    const feed = house.feeds.find(jobId)
    if (feed !== undefined) yield* lookAt(house, feed)
  })

const lookAt = (house: ReadingHouse, feed: JobFeed) =>
  Effect.flatMap(house.store.get(feed.jobId), (row) => (row === null ? Effect.void : readOn(house, feed, row)))

/** Without an actor here, what is new of a job is with its owner, or in its trace. */
const readOn = (house: ReadingHouse, feed: JobFeed, row: JobRow): Effect.Effect<void> => {
  if (isTerminal(row.state)) return Effect.sync(() => leaveFeed(house, feed))
  return row.state === "active" && !hasActor(house, feed.jobId) ? house.relay.followOwner(feed, row) : Effect.void
}

const lookAtOrphans = (house: ReadingHouse) =>
  Effect.suspend(() =>
    Effect.forEach(
      house.feeds.all().filter((feed) => !hasActor(house, feed.jobId) && isRead(house, feed)),
      (feed) =>
        Effect.catch(lookAt(house, feed), ({ during }) =>
          Effect.logWarning("feed not compared with the store", { jobId: feed.jobId, during })
        ),
      { discard: true, concurrency: 8 }
    )
  )

/** One that nobody came to read is let go. */
const isRead = ({ feeds }: ReadingHouse, feed: JobFeed): boolean => {
  if (feed.readers === 0) feeds.forget(feed)
  return feed.readers > 0
}
