/** The rollups: how far they are, their rows, and the days that leave for the archive and come back. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Archive, type BrokenSegment } from "../../../layers/Archive.ts"
import { DEFINITIONS } from "../../../layers/RollupColumns.ts"
import { RollupDays } from "../../../layers/RollupDays.ts"
import { dayName, Rollups, type Wanted } from "../../../layers/Rollups.ts"
import { archiveDay, restoreDay, type TransferHouse } from "../../../layers/RollupTransfer.ts"
import { NamespaceId } from "../../../schemas/Ids.ts"
import { DAY_MS, dayOf, keyOf, RollupDefinition, type RollupRow } from "../../../schemas/Rollup.ts"
import { type Refusal, refuse } from "../../../schemas/Refusal.ts"
import type { Call } from "../../Call.ts"
import { badField } from "../../Decode.ts"
import { audit, readOrder, readReason } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { readInstant, readInt, readOneOf, readQuery, readRange } from "../../Query.ts"
import { open } from "../../Route.ts"

/** Days that one request moves; more follow with the next one. */
const DAYS_MAX = 7

const house = Effect.gen(function* () {
  return { rollups: yield* Rollups, days: yield* RollupDays, archive: yield* Archive }
})

const listRollups = open(
  Effect.fnUntraced(function* (call: Call) {
    const { rollups, days } = yield* house
    const query = yield* readQuery(call.query, ["from", "to"])
    const { from, to } = yield* readRange(query, yield* Clock.currentTimeMillis, 31 * DAY_MS)
    const closedUntil = yield* rollups.closedUntil
    const closed = Math.min(...Object.values(closedUntil))
    const away = yield* days.away(dayOf(from), to)
    const held = (yield* days.held(dayOf(from), to)).filter(({ day }) => away.every((one) => one.day !== day))
    const data = [
      ...away.map(({ day, rows, segments }) => ({ day, state: "archived", rows, segments })),
      ...held.map(({ day, rows }) => ({
        day,
        state: day + DAY_MS <= closed ? "closed" : "open",
        rows,
        segments: []
      }))
    ].toSorted((a, b) => a.day - b.day)
    const named = data.map(({ day, ...about }) => ({ day: dayName(day), ...about }))
    return plain({ closedUntil, waiting: yield* rollups.waiting, data: named })
  })
)

const cursorOf = (row: RollupRow): string => `${row.period} ${keyOf(row)}`

const readCursor = (text: string | undefined): Effect.Effect<Wanted["after"], Refusal> => {
  if (text === undefined) return Effect.succeed(null)
  const [, period, key] = /^(\d{1,16}) (.+)$/.exec(text) ?? []
  if (period === undefined || key === undefined)
    return Effect.fail(badField("cursor", "must be one that an answer gave"))
  return Effect.succeed({ period: Number(period), key })
}

const isNamespaceId = Schema.is(NamespaceId)

const readNamespace = (text: string | undefined): Effect.Effect<NamespaceId | null, Refusal> => {
  if (text === undefined) return Effect.succeed(null)
  return isNamespaceId(text) ? Effect.succeed(text) : Effect.fail(badField("namespace", "must be a namespace's id"))
}

const listRows = open(
  Effect.fnUntraced(function* (call: Call) {
    const definition = yield* readOneOf("definition", call.params["definition"], RollupDefinition.literals)
    const query = yield* readQuery(call.query, ["from", "to", "namespace", "limit", "cursor"])
    const range = yield* readRange(query, yield* Clock.currentTimeMillis, DAY_MS)
    const limit = yield* readInt("limit", query.limit, { least: 1, most: 1000, otherwise: 100 })
    const rows = yield* (yield* Rollups).page({
      definition: definition ?? "credits",
      namespaceId: yield* readNamespace(query.namespace),
      ...range,
      after: yield* readCursor(query.cursor),
      limit
    })
    const last = rows.at(-1)
    return plain({ data: rows, next: rows.length < limit || last === undefined ? null : cursorOf(last) })
  })
)

/** Whole days only. */
export const ArchiveRollupsOrder = Schema.Struct({ before: Schema.String.check(Schema.isMaxLength(32)) })
const readArchive = readOrder(ArchiveRollupsOrder)

const readDay = Effect.fnUntraced(function* (param: string, text: string | undefined) {
  const at = yield* readInstant(param, text)
  if (at === undefined || at % DAY_MS !== 0) return yield* badField(param, "must be a day like 2026-11-30")
  return at
})

/** Nothing is dropped on the strength of a broken segment. */
const broken = ({ segmentId, why }: BrokenSegment): Refusal =>
  refuse("conflict", `The segment ${segmentId} is broken: it ${why}. Nothing was dropped and nothing came back.`)

/** Days that hold rows, from the first one on, within as many days as one request moves. */
const oldest = Effect.fnUntraced(function* ({ rollups, days }: TransferHouse, end: number) {
  const firsts = yield* Effect.forEach(DEFINITIONS, (definition) =>
    rollups.page({ definition, namespaceId: null, from: 0, to: end, after: null, limit: 1 })
  )
  const periods = firsts.flat().map(({ period }) => period)
  if (periods.length === 0) return []
  const from = dayOf(Math.min(...periods))
  return yield* days.held(from, Math.min(end, from + DAYS_MAX * DAY_MS))
})

const archiveRollups = open(
  Effect.fnUntraced(function* (call: Call) {
    const order = yield* readArchive(call)
    const before = yield* readDay("before", order.body.before)
    const home = yield* house
    const closed = Math.min(...Object.values(yield* home.rollups.closedUntil))
    const end = Math.min(before, dayOf(Math.max(0, closed - 1)))
    const due = yield* oldest(home, end)
    const moved = yield* Effect.forEach(due, ({ day }) =>
      Effect.catchTag(archiveDay(home, day, order.at), "BrokenSegment", broken)
    )
    const data = moved.map(({ day, rows, segments }) => ({ day: dayName(day), rows, segments }))
    yield* audit(order, "rollups.archive", "rollups", { before: dayName(before), days: data.map(({ day }) => day) })
    return plain({ data, more: due.length > 0 && (yield* oldest(home, end)).length > 0 })
  })
)

const restoreRollups = open(
  Effect.fnUntraced(function* (call: Call) {
    const day = yield* readDay("day", call.params["day"])
    const order = yield* readReason(call)
    const { rows, segments } = yield* Effect.catchTag(restoreDay(yield* house, day), "BrokenSegment", broken)
    yield* audit(order, "rollups.restore", `rollups/${dayName(day)}`, { rows })
    return plain({ day: dayName(day), rows, segments })
  })
)

export const rollupRoutes = { listRollups, listRollupRows: listRows, archiveRollups, restoreRollups }
