/**
 * Jobs newest first without a long sort. A server that cannot read an index in order (FerretDB sorts whatever an index gives) would sort all that a
 * filter lets through for a page of twenty. Asked for one stretch of time after the other, it sorts little more than is wanted: the first stretch is
 * short, each next one as long as what was found lets expect, and one that turns out crowded is halved before anything of it is sorted.
 */
import type { Cursor, JobFilter } from "../JobSearch.ts"

const FIRST_MS = 1_000
/** After a stretch in which nothing was found, the next may be this many times as long. */
const GROWTH = 64
/** More than the rest that is expected in it, so that it seldom takes another one. */
const MARGIN = 1.5
/** What a server sorts in a few milliseconds. */
const CROWD = 1_000

export interface Questions<A> {
  /** How many there are, counted no further than `most`. */
  readonly count: (filter: JobFilter, after: Cursor | null, most: number) => Promise<number>
  /** Newest first, strictly older than the cursor. */
  readonly find: (filter: JobFilter, after: Cursor | null, limit: number) => AsyncIterable<A>
}

export interface Wanted {
  readonly filter: JobFilter
  readonly after: Cursor | null
  readonly limit: number
  /** Unix milliseconds; younger jobs are found too. */
  readonly now: number
}

export async function* newestFirst<A>(
  { count, find }: Questions<A>,
  { filter, after, limit, now }: Wanted
): AsyncGenerator<A> {
  const least = filter.from ?? Number.NEGATIVE_INFINITY
  let [place, to, left, length] = [after, filter.to, limit, FIRST_MS]
  let end = Math.min(filter.to ?? now, after?.createdAt ?? now, now)
  let crowdedFrom = Number.NEGATIVE_INFINITY
  while (left > 0) {
    const from = Math.max(least, beginOf(end, length))
    const stretch = between(filter, from, to)
    const most = Math.max(CROWD, left * 4)
    const counted = length > FIRST_MS && Number.isFinite(from) ? await count(stretch, place, most) : null
    if (counted === most && end - from > 1) {
      crowdedFrom = from
      length = Math.ceil((end - from) / 2)
      continue
    }
    let found = 0
    if (counted !== 0) {
      for await (const job of find(stretch, place, left)) {
        found++
        yield job
      }
    }
    left -= found
    if (from <= least) return
    place = null
    to = end = from
    length *= found === 0 ? GROWTH : Math.min(GROWTH, Math.max(1, (left / found) * MARGIN))
    if (crowdedFrom < end) length = Math.min(length, (end - crowdedFrom) / 2)
    length = Math.ceil(length)
  }
}

/** What is older than the Unix epoch is one stretch. */
const beginOf = (end: number, length: number): number =>
  end > 0 ? Math.max(0, end - length) : Number.NEGATIVE_INFINITY

const between = ({ from: _from, to: _to, ...others }: JobFilter, from: number, to: number | undefined): JobFilter => ({
  ...others,
  ...(Number.isFinite(from) ? { from } : {}),
  ...(to === undefined ? {} : { to })
})
