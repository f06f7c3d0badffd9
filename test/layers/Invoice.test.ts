/** That an invoice is the same with some days in cold storage as with all of them here, or names a day that it needs. */
import { assert, it } from "@effect/vitest"
import { Schema } from "effect"
import { invoiceOf, type Statement } from "../../src/layers/Invoice.ts"
import { type CreditRollup, DAY_MS, HOUR_MS } from "../../src/schemas/Rollup.ts"
import { aNamespaceId } from "../support/factories.ts"

const Small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 }))
const Day = Schema.Struct({ moves: Schema.Boolean, away: Schema.Boolean, granted: Small, settled: Small })
const Place = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8 }))

const START = Date.UTC(2026, 0, 5)
const dayAt = (n: number) => START + n * DAY_MS
const namespaceId = aNamespaceId()

/** At noon of each day that moves. */
const rowsOf = (days: ReadonlyArray<typeof Day.Type>): ReadonlyArray<CreditRollup> => {
  let [granted, spent, seq] = [1_000n, 0n, 0]
  return days.flatMap((day, n): ReadonlyArray<CreditRollup> => {
    if (!day.moves) return []
    const moved = { granted: BigInt(day.granted), settled: BigInt(day.settled) }
    ;[granted, spent, seq] = [granted + moved.granted, spent + moved.settled, seq + 1]
    return [
      {
        definition: "credits",
        period: dayAt(n) + 12 * HOUR_MS,
        namespaceId,
        firstSeq: seq,
        lastSeq: seq,
        opened: 0,
        ended: 0,
        ...moved,
        reserved: moved.settled,
        refunded: 0n,
        grantedAtEnd: granted,
        availableAtEnd: granted - spent,
        reservedAtEnd: 0n,
        spentAtEnd: spent,
        openJobsAtEnd: 0
      }
    ]
  })
}

/** As a store tells it that holds these rows and no rows of the days that are away. */
const statementOf = (
  rows: ReadonlyArray<CreditRollup>,
  away: ReadonlyArray<number>,
  from: number,
  to: number
): Statement => {
  const here = rows.filter(({ period }) => away.every((day) => period < day || period >= day + DAY_MS))
  const before = here.findLast(({ period }) => period < from) ?? null
  const after = here.find(({ period }) => period >= to) ?? null
  const earliest = before?.period ?? from
  const last = rows.at(-1)
  return {
    namespaceId,
    before,
    rows: here.filter(({ period }) => period >= from && period < to),
    after,
    latest: { available: last?.availableAtEnd ?? 1_000n, reserved: 0n },
    away: away.filter((day) => day > earliest - DAY_MS && (after === null || day < after.period)),
    models: [],
    closedUntil: dayAt(100)
  }
}

it.prop(
  "an invoice over days that are here is right, whichever other days are away; otherwise it names one that is away",
  { days: Schema.Array(Day).check(Schema.isMinLength(3), Schema.isMaxLength(8)), one: Place, two: Place },
  ({ days, one, two }) => {
    const rows = rowsOf(days)
    const away = days.flatMap((day, n) => (day.away ? [dayAt(n)] : []))
    const [from, to] = [dayAt(Math.min(one, two)), dayAt(Math.max(one, two) + 1)]
    const truth = invoiceOf(statementOf(rows, [], from, to), { from, to })
    const told = invoiceOf(statementOf(rows, away, from, to), { from, to })
    if (told._tag === "Invoice") return assert.deepStrictEqual(told, truth)
    assert.include(away, told.day)
    const within = away.some((day) => day >= from && day < to)
    const [behind, ahead] = [away.some((day) => day < from), away.some((day) => day >= to)]
    assert.isTrue(within || (behind && ahead) || (ahead && rows.every(({ period }) => period >= from)))
  },
  { arbitrary: { runs: 2_000 } }
)
