/**
 * What readers of one job share: its pieces so far and how many of them are out. A reader is a position in it, so a slow one costs the job
 * nothing and a thousand cost one list. It outlives a crash of the job's actor: what was shown once stays as it was shown.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { DaemonId, JobId, NamespaceId } from "../../schemas/Ids.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import type { JobSignal } from "./JobStreams.ts"

/** Most pieces handed to a reader at once. */
const TAKE_MAX = 512

export interface JobFeed {
  readonly jobId: JobId
  readonly namespaceId: NamespaceId
  /** Gap-free from number 1; the first `published` of them may be read. */
  readonly events: Array<TokenEvent>
  published: number
  /** The last word: how it ended, that somebody else acts for it now, or that this daemon leaves. */
  closed: { readonly row: JobRow } | "moved" | "left" | null
  readers: number
  readonly waiting: Set<() => void>
  /** Of the owner whose pieces these are. */
  epoch: number
  /** Daemons with readers, which hear of what is published here. */
  readonly followers: Set<DaemonId>
  onPublished: ((first: number, last: number) => void) | null
}

/** Pieces up to number `last` are out. */
export const publish = (feed: JobFeed, last: number): void => {
  if (last <= feed.published) return
  feed.onPublished?.(feed.published + 1, last)
  feed.published = last
  wake(feed)
}

export const close = (feed: JobFeed, closed: JobFeed["closed"]): void => {
  if (feed.closed !== null) return
  feed.closed = closed
  if (typeof closed === "object") publish(feed, feed.events.length)
  wake(feed)
}

const wake = (feed: JobFeed) => {
  const waiting = [...feed.waiting]
  feed.waiting.clear()
  for (const resume of waiting) resume()
}

/** Moved: the rest of the job has to be read elsewhere, from where this reader is. */
export type FeedSignal = JobSignal | { readonly _tag: "Moved" }

/** The job is over: what was said of it stands in its trace, not here. */
export const endFeed = (feeds: JobFeeds["Service"], jobId: JobId): void => {
  const feed = feeds.find(jobId)
  if (feed === undefined) return
  close(feed, "moved")
  feeds.forget(feed)
}

/** What a reader at `position` has to be told now; empty when there is nothing new. */
const news = (feed: JobFeed, position: number): ReadonlyArray<FeedSignal> => {
  const until = Math.min(feed.published, position + TAKE_MAX)
  const signals: Array<FeedSignal> = []
  if (until > position) signals.push({ _tag: "Tokens", events: feed.events.slice(position, until) })
  if (feed.closed !== null && until >= feed.published) {
    signals.push(
      typeof feed.closed === "object"
        ? { _tag: "Ended", row: feed.closed.row }
        : feed.closed === "moved"
          ? { _tag: "Moved" }
          : { _tag: "Behind", lastSeq: Math.max(position, until) }
    )
  }
  return signals
}

export interface FeedReader {
  readonly position: () => number
  /** Waits for something new. After `Ended`, `Behind` or `Moved` there is nothing more to take. */
  readonly take: Effect.Effect<ReadonlyArray<FeedSignal>>
}

/** A reader from `afterSeq` on. */
export const reader = (feed: JobFeed, afterSeq: number): FeedReader => {
  let position = afterSeq
  const take = Effect.callback<ReadonlyArray<FeedSignal>>((resume) => {
    const answer = () => {
      const signals = news(feed, position)
      if (signals.length === 0) return void feed.waiting.add(answer)
      for (const signal of signals) if (signal._tag === "Tokens") position += signal.events.length
      resume(Effect.succeed(signals))
    }
    answer()
    return Effect.sync(() => void feed.waiting.delete(answer))
  })
  return { position: () => position, take }
}

export class JobFeeds extends Context.Service<
  JobFeeds,
  {
    /** The job's feed; a fresh one in place of one that moved, whose actor may still be on its way out. */
    readonly open: (jobId: JobId, namespaceId: NamespaceId) => JobFeed
    readonly find: (jobId: JobId) => JobFeed | undefined
    /** Forgets the feed once it is closed or nobody needs it; readers keep what they hold. */
    readonly forget: (feed: JobFeed) => void
    readonly all: () => ReadonlyArray<JobFeed>
  }
>()("resultity/actors/job/JobFeeds") {
  static readonly layer = Layer.sync(JobFeeds, () => {
    const feeds = new Map<JobId, JobFeed>()
    return JobFeeds.of({
      open: (jobId, namespaceId) => {
        const known = feeds.get(jobId)
        if (known !== undefined && known.closed !== "moved") return known
        const feed: JobFeed = {
          jobId,
          namespaceId,
          events: [],
          published: 0,
          closed: null,
          readers: 0,
          waiting: new Set(),
          epoch: 0,
          followers: new Set(),
          onPublished: null
        }
        feeds.set(jobId, feed)
        return feed
      },
      find: (jobId) => feeds.get(jobId),
      forget: (feed) => {
        if (feeds.get(feed.jobId) === feed) feeds.delete(feed.jobId)
      },
      all: () => [...feeds.values()]
    })
  })
}
