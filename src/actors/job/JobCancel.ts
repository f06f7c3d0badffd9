/** Cancelling a job wherever it is: with its actor here, or in the queue, where nobody acts for it yet. Returns when the end is settled. */
import * as Effect from "effect/Effect"
import type { JobRecords } from "../../layers/JobRecords.ts"
import type { JobStore } from "../../layers/JobStore.ts"
import type { Registry } from "../../kernel/Registry.ts"
import { jobAddress } from "../../schemas/Address.ts"
import type { CancelCause } from "../../schemas/JobMoment.ts"
import { isTerminal, type JobRow } from "../../schemas/JobState.ts"
import { refuse } from "../../schemas/Refusal.ts"
import { reader, type JobFeed, type JobFeeds } from "./JobFeed.ts"
import type { Mail } from "../Mail.ts"
import type { JobMessage } from "./JobMessages.ts"
import type { Publisher } from "./Publisher.ts"
import { endWaiting } from "../EndWaiting.ts"

export interface CancelHouse {
  readonly store: JobStore["Service"]
  readonly records: JobRecords["Service"]
  readonly registry: Registry["Service"]
  readonly feeds: JobFeeds["Service"]
  readonly publisher: Publisher["Service"]
  readonly mail: Mail["Service"]
}

/** Looks again as often, when the job moved between a look and a guarded write, or its owner was asked. */
const TRIES_MAX = 50
/** How often whoever told an actor looks whether it is still there. */
const ACTOR_LOOK_EVERY = "500 millis"
/** Looks between two words to the owner: a word may be lost, and the job may move. */
const ASK_EVERY = 5

export const cancelJob = (house: CancelHouse, row: JobRow, cause: CancelCause) =>
  Effect.gen(function* () {
    let seen = row
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (seen.state === "cancelled") return seen
      if (isTerminal(seen.state)) {
        return yield* refuse("conflict", `The job has ended already, as ${seen.state}.`, { jobId: seen.job.id })
      }
      const ended = yield* hasActor(house, seen) ? askActor(house, seen, cause) : cancelWaiting(house, seen, cause)
      if (!ended && tries % ASK_EVERY === 0) askOwner(house, seen, cause)
      if (ended) {
        const after = yield* house.store.get(seen.job.id)
        if (after !== null) seen = after
        continue
      }
      yield* Effect.sleep("100 millis")
      const after = yield* house.store.get(seen.job.id)
      if (after !== null) seen = after
    }
    return yield* refuse("unavailable", "The job moves between daemons; cancel it again.", { retryAfterMs: 1000 })
  })

const hasActor = ({ registry }: CancelHouse, { job }: JobRow) => registry.find(jobAddress(job.id))._tag === "Some"

/** Where its actor is, it is ended by the actor; the row tells when. */
const askOwner = ({ mail }: CancelHouse, { job, owner }: JobRow, cause: CancelCause): void => {
  if (owner === null) return
  mail.post({ _tag: "Inbox", daemonId: owner }, { _tag: "CancelJob", jobId: job.id, cause })
}

/** Told, then followed to its end; false when it goes without a word, because it was on its way out as it was told. */
const askActor = (house: CancelHouse, row: JobRow, cause: CancelCause) =>
  Effect.suspend(() => {
    const { registry, feeds } = house
    const feed = feeds.find(row.job.id)
    const found = registry.find<JobMessage>(jobAddress(row.job.id))
    if (feed === undefined || found._tag === "None") return Effect.succeed(false)
    if (!found.value.tellUnsafe({ _tag: "Cancel", cause })) return Effect.succeed(false)
    // Counted, so that the feed is not forgotten by whoever leaves it last.
    feed.readers += 1
    return Effect.ensuring(
      follow(house, row, feed),
      Effect.sync(() => void (feed.readers -= 1))
    )
  })

const follow = (house: CancelHouse, row: JobRow, feed: JobFeed) =>
  Effect.gen(function* () {
    const { take } = reader(feed, feed.published)
    while (true) {
      const signals = yield* Effect.timeoutOption(take, ACTOR_LOOK_EVERY)
      if (signals._tag === "Some" && signals.value.some(({ _tag }) => _tag !== "Tokens")) return true
      if (signals._tag === "None" && !hasActor(house, row)) return false
    }
  })

/** Nobody acts for it. */
const cancelWaiting = (house: CancelHouse, row: JobRow, cause: CancelCause) =>
  Effect.gen(function* () {
    if (row.state !== "queued") return false
    const { guarded, envelope } = yield* endWaiting(house, row, { state: "cancelled", code: cause })
    if (guarded._tag === "Done") house.publisher.offer({ target: { _tag: "Topic", topic: "job" }, envelope })
    return guarded._tag !== "Stale"
  })
