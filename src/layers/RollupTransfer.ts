/**
 * A day of rollups on its way to cold storage and back. Out: written as segments, read back, and only then dropped. Back: every row of every segment, and the
 * day counts as there again only when what stands in the store hashes to the same segments.
 */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SegmentId } from "../schemas/Archive.ts"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import { DAY_MS, keyOf, ROLLUP_VERSION, RollupLine, type RollupDefinition, type RollupRow } from "../schemas/Rollup.ts"
import { refuse, type Refusal } from "../schemas/Refusal.ts"
import { type Archive, BrokenSegment } from "./Archive.ts"
import type { Outage } from "./Outage.ts"
import { DEFINITIONS } from "./RollupColumns.ts"
import type { AwayDay, RollupDays } from "./RollupDays.ts"
import { dayName, type Rollups, type Wanted } from "./Rollups.ts"

export interface TransferHouse {
  readonly rollups: Rollups["Service"]
  readonly days: RollupDays["Service"]
  readonly archive: Archive["Service"]
}

/** Of one segment: what is held in memory at a time. */
export const LINES_MAX = 20_000
const PAGE = 2_000
const DROPPED_AT_ONCE = 5_000

const encodeLine = Schema.encodeSync(RollupLine)
const decodeLine = Schema.decodeUnknownEffect(Schema.fromJsonString(RollupLine))

const lineOf = (row: RollupRow): string => canonicalJson(encodeLine(row))

/** By what it holds: the same rows make the same segment. */
const segmentIdOf = (lines: ReadonlyArray<string>): SegmentId => {
  const hash = createHash("sha256")
  for (const line of lines) hash.update(`${line}\n`)
  return SegmentId.make(
    `seg_${createHash("sha256")
      .update(`rollups ${hash.digest("hex")}`)
      .digest("hex")
      .slice(0, 32)}`
  )
}

/** The day's rows in their one order, a segment's worth at a time. */
const inSegments = <E>(
  { rollups }: TransferHouse,
  day: number,
  visit: (rows: ReadonlyArray<RollupRow>) => Effect.Effect<void, E>
) =>
  Effect.gen(function* () {
    let rows: Array<RollupRow> = []
    for (const definition of DEFINITIONS) {
      let after: Wanted["after"] = null
      while (true) {
        const limit = Math.min(PAGE, LINES_MAX - rows.length)
        const page: ReadonlyArray<RollupRow> = yield* rollups.page(wantedOf(definition, day, after, limit))
        rows.push(...page)
        if (rows.length >= LINES_MAX) {
          yield* visit(rows)
          rows = []
        }
        const last = page.at(-1)
        if (last === undefined || page.length < limit) break
        after = { period: last.period, key: keyOf(last) }
      }
    }
    if (rows.length > 0) yield* visit(rows)
  })

const wantedOf = (definition: RollupDefinition, day: number, after: Wanted["after"], limit: number): Wanted => ({
  definition,
  namespaceId: null,
  from: day,
  to: day + DAY_MS,
  after,
  limit
})

/**
 * Afterwards the day's rows are in the archive, verified, and not in the store. Twice, or after a break: it goes on. Refused: `conflict` when it is not closed yet,
 * or changed while it was written.
 */
export const archiveDay = Effect.fnUntraced(function* (house: TransferHouse, day: number, at: number) {
  const [known] = yield* house.days.away(day, day + 1)
  const away = known ?? (yield* writeOut(house, day, at))
  while (true) {
    const dropped = yield* house.days.drop(away, DROPPED_AT_ONCE)
    if (dropped === null) {
      return yield* refuse("conflict", `${dayName(day)} cannot leave yet: it and an hour after it have to be closed.`)
    }
    if (dropped < DROPPED_AT_ONCE) return away
  }
})

const writeOut = Effect.fnUntraced(function* (house: TransferHouse, day: number, at: number) {
  const segments: Array<SegmentId> = []
  let rows = 0
  yield* inSegments(house, day, (part) =>
    Effect.gen(function* () {
      rows += part.length
      segments.push(yield* writeSegment(house, part, at))
    })
  )
  return { day, segments, rows, at } satisfies AwayDay
})

/** Written and read back: nothing is dropped on the strength of what cannot be read. */
const writeSegment = Effect.fnUntraced(function* (
  { archive }: TransferHouse,
  rows: ReadonlyArray<RollupRow>,
  at: number
) {
  const lines = rows.map(lineOf)
  const id = segmentIdOf(lines)
  const periods = rows.map(({ period }) => period)
  yield* archive.write({
    id,
    dataClass: "rollups",
    namespaceId: null,
    recordVersion: ROLLUP_VERSION,
    from: periods.reduce((least, period) => Math.min(least, period)),
    to: periods.reduce((most, period) => Math.max(most, period)),
    createdAt: at,
    lines
  })
  const kept = yield* archive.lines(id)
  if (segmentIdOf(kept) !== id)
    return yield* new BrokenSegment({ segmentId: id, why: "does not hold what was written" })
  return id
})

const notAway = (day: number): Refusal =>
  refuse("not_found", `The rollups of ${dayName(day)} are not in the archive. resultity rollups list says which are.`)

/** Afterwards the day's rows are in the store, the same as before. Twice, or after a break: it goes on. Refused: `not_found` when it is not away. */
export const restoreDay = Effect.fnUntraced(function* (
  house: TransferHouse,
  day: number
): Effect.fn.Return<AwayDay, BrokenSegment | Refusal | Outage> {
  const [away] = yield* house.days.away(day, day + 1)
  if (away === undefined) return yield* notAway(day)
  for (const id of away.segments) {
    const lines = yield* house.archive.lines(id)
    for (let from = 0; from < lines.length; from += PAGE) {
      const rows = yield* Effect.forEach(lines.slice(from, from + PAGE), (line) => rowOf(id, line))
      if (!(yield* house.days.put(day, rows))) return yield* notAway(day)
    }
  }
  const found: Array<SegmentId> = []
  yield* inSegments(house, day, (rows) => Effect.sync(() => found.push(segmentIdOf(rows.map(lineOf)))))
  const isSame = found.length === away.segments.length && found.every((id, at) => id === away.segments[at])
  if (isSame && (yield* house.days.settle(day))) return away
  return yield* refuse("conflict", `${dayName(day)} is not whole yet: somebody else is moving it. Try again.`)
})

const rowOf = (segmentId: SegmentId, line: string) =>
  Effect.mapError(decodeLine(line), () => new BrokenSegment({ segmentId, why: "holds a line that is no rollup" }))
