/** Invoices, the proof of the ledger and the rollups over both listeners: a customer sees its own, an operator all, and the numbers add up. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { Audit } from "../../src/layers/Audit.ts"
import { CreditLedger } from "../../src/layers/CreditLedger.ts"
import { JobStore } from "../../src/layers/JobStore.ts"
import { dayName, Rollups } from "../../src/layers/Rollups.ts"
import { DAY_MS, dayOf, HOUR_MS, hourOf } from "../../src/schemas/Rollup.ts"
import { aFinish, aJob, anAdmission, credits, MINUTE, unique } from "../support/factories.ts"
import { rollUp } from "../layers/contracts/RollupHistory.ts"
import { ask, makeWorld, World } from "./World.ts"

/** Three days ago, so that it is closed and another closed hour follows. */
const DAYS_AGO = 3

const control = (path: string, wishes: Parameters<typeof ask>[1] = {}) =>
  Effect.flatMap(World, (world) => ask(`${world.control}/control${path}`, { key: null, ...wishes }))

const order = (path: string, body: object = {}) => control(path, { body: { reason: "test", ...body } })

/** 10 credits, a job of 1.25 and one of 0.25 that end an hour later; all closed by now. */
const history = Effect.gen(function* () {
  const { namespace } = yield* World
  const store = yield* JobStore
  const now = yield* Clock.currentTimeMillis
  const at = dayOf(now) - DAYS_AGO * DAY_MS
  const grant = { namespaceId: namespace.id, amount: credits(10_000_000), reference: unique(), at }
  yield* (yield* CreditLedger).grant(grant)
  for (const [charge, model] of [
    [1_250_000, "=large"],
    [250_000, "tiny"]
  ] as const) {
    const job = aJob({ namespaceId: namespace.id, model, reserved: credits(2_000_000), acceptedAt: at + MINUTE })
    const { row } = yield* store.admit(anAdmission(job))
    yield* store.finish(aFinish(row, { charge: credits(charge), at: at + HOUR_MS }))
  }
  yield* rollUp(hourOf(now))
  yield* (yield* Rollups).close("accounts", now, 1_000)
  return { at, day: dayName(at), next: dayName(at + DAY_MS) }
})

const amountsOf = (csv: string) =>
  csv
    .trim()
    .split("\r\n")
    .slice(1)
    .map((line) => line.split(","))
    .map(([name, , , , , amount]) => [name, Number(amount || 0)] as const)

it.live(
  "S80: an invoice says what was granted, charged by model and is left; its CSV adds up to the closing balance",
  () =>
    Effect.gen(function* () {
      const { day, next } = yield* history
      const { namespace } = yield* World
      const { status, body } = yield* ask(`/v1/invoice?from=${day}&to=${next}`)
      assert.strictEqual(status, 200)
      const { from, to, ...rest } = body as never as { from: number; to: number }
      assert.strictEqual(to - from, DAY_MS)
      assert.deepStrictEqual(rest as never, {
        object: "invoice",
        unit: "credits",
        namespace: namespace.id,
        preliminary: false,
        opening_balance: "0",
        granted: "10",
        charged: "1.5",
        closing_balance: "8.5",
        reserved: "4",
        refunded: "2.5",
        open_reservations: "0",
        charges: [
          { model: "=large", jobs: 1, prompt_tokens: 10, output_tokens: 20, cost: "1.25" },
          { model: "tiny", jobs: 1, prompt_tokens: 10, output_tokens: 20, cost: "0.25" }
        ]
      })
      const csv = yield* ask(`/v1/invoice?from=${day}&to=${next}&format=csv`)
      assert.match(csv.headers.get("content-type") ?? "", /^text\/csv/)
      assert.include(csv.text, "charge,'=large,1,10,20,-1.25,\r\n")
      const amounts = amountsOf(csv.text)
      const closing = amounts.find(([name]) => name === "closing")?.[1]
      assert.strictEqual(
        amounts.reduce((sum, [name, amount]) => sum + (name === "closing" ? 0 : amount), 0),
        closing
      )
    }).pipe(Effect.provide(makeWorld()))
)

it.live("a key sees the invoice of its own namespace only, and this month's when it names no span", () =>
  Effect.gen(function* () {
    yield* history
    const { otherKey, other } = yield* World
    const { body } = yield* ask("/v1/invoice", { key: otherKey })
    assert.deepInclude(body as never, { namespace: other.id, granted: "0", closing_balance: "0", preliminary: true })
    assert.match(new Date((body as never as { from: number }).from).toISOString(), /-01T00:00:00\.000Z$/)
    assert.strictEqual((yield* ask("/v1/invoice", { key: null })).status, 401)
  }).pipe(Effect.provide(makeWorld()))
)

it.live("a span that is no whole hours, is turned round, is too long or is no time is refused with what to do", () =>
  Effect.gen(function* () {
    for (const [query, says] of [
      ["from=2026-11-01T00:30:00Z&to=2026-11-02", /whole hours/],
      ["from=2026-11-02&to=2026-11-01", /after to/],
      ["from=2020-01-01&to=2026-01-01", /366 days/],
      ["from=yesterday", /ISO 8601/],
      ["format=pdf", /json, csv/],
      ["namespace=ns_x", /is not a parameter here/]
    ] as const) {
      const { status, body } = yield* ask(`/v1/invoice?${query}`)
      assert.strictEqual(status, 400, query)
      assert.match(body.error.message, says)
    }
    assert.strictEqual((yield* control("/namespaces/ns_nobody/invoice")).status, 404)
  }).pipe(Effect.provide(makeWorld()))
)

it.live(
  "S23: operators see that an invoice agrees with the ledger's entries, and the proof of the whole ledger with its totals",
  () =>
    Effect.gen(function* () {
      const { day, next } = yield* history
      const { namespace } = yield* World
      const { body } = yield* control(`/namespaces/${namespace.id}/invoice?from=${day}&to=${next}`)
      assert.deepInclude(body as never, { reconciled: true })
      assert.deepInclude(body["invoice"] as never, { charged: "1.5", opening: { available: "0", reserved: "0" } })
      const early = yield* control(`/namespaces/${namespace.id}/invoice`)
      assert.deepInclude(early.body as never, { reconciled: null })
      const csv = yield* control(`/namespaces/${namespace.id}/invoice?from=${day}&to=${next}&format=csv`)
      assert.match(csv.text, /^line,model,/)
      assert.deepStrictEqual((yield* control("/ledger/audit")).body as never, {
        ok: true,
        namespaces: 2,
        totals: { granted: "10", available: "8.5", reserved: "0", spent: "1.5" },
        findings: []
      })
    }).pipe(Effect.provide(makeWorld()))
)

it.live(
  "S26: a day leaves for the archive and comes back over the control API, with a reason and a row in the audit",
  () =>
    Effect.gen(function* () {
      const { day, next, at } = yield* history
      const listOf = (answer: { readonly body: object }) =>
        (answer.body as { data: ReadonlyArray<{ day: string; state: string; rows: number }> }).data
      const before = yield* control("/rollups")
      assert.deepInclude(listOf(before)[0], { day, state: "closed", segments: [] } as never)
      assert.strictEqual((yield* control("/rollups/archive", { body: { before: next } })).status, 400)

      const archived = yield* order("/rollups/archive", { before: next })
      assert.strictEqual(archived.status, 200)
      assert.deepStrictEqual(
        [listOf(archived)[0]?.day, (archived.body as never as { more: boolean }).more],
        [day, false]
      )
      assert.strictEqual(listOf(yield* control("/rollups"))[0]?.state, "archived")
      assert.deepInclude(listOf(yield* control("/archives"))[0], { dataClass: "rollups", namespaceId: null } as never)
      const refused = yield* ask(`/v1/invoice?from=${day}&to=${next}`)
      assert.deepStrictEqual([refused.status, refused.body.error.code], [409, "conflict"])
      assert.include(refused.body.error.message, `resultity rollups restore ${day}`)

      assert.strictEqual((yield* order(`/rollups/${day}/restore`)).status, 200)
      assert.strictEqual((yield* ask(`/v1/invoice?from=${day}&to=${next}`)).status, 200)
      assert.deepStrictEqual(listOf(yield* control("/rollups")), listOf(before))
      assert.strictEqual((yield* order(`/rollups/${day}/restore`)).status, 404)
      for (const path of ["/rollups/yesterday/restore", `/rollups/${at + 1}/restore`]) {
        assert.strictEqual((yield* order(path)).status, 400)
      }
      assert.deepStrictEqual(
        (yield* (yield* Audit).list(0, 10)).map(({ action }) => action),
        ["rollups.archive", "rollups.restore"]
      )
    }).pipe(Effect.provide(makeWorld()))
)

it.live("S8: rows come by definition, namespace and page, each row once", () =>
  Effect.gen(function* () {
    const { day, next } = yield* history
    const { namespace, other } = yield* World
    const rows = (path: string) =>
      Effect.map(
        control(`/rollups/${path}`),
        ({ body }) => body as never as { data: ReadonlyArray<Record<string, unknown>>; next: string | null }
      )
    const span = `from=${day}&to=${next}`
    const all = yield* rows(`jobs/rows?${span}`)
    assert.deepStrictEqual(
      all.data.map(({ model, jobs, cost, state }) => [model, jobs, cost, state]),
      [
        ["=large", 1, "1.25", "cancelled"],
        ["tiny", 1, "0.25", "cancelled"]
      ]
    )
    const first = yield* rows(`jobs/rows?${span}&limit=1`)
    const second = yield* rows(`jobs/rows?${span}&limit=1&cursor=${encodeURIComponent(first.next!)}`)
    assert.deepStrictEqual([...first.data, ...second.data], all.data)
    assert.lengthOf((yield* rows(`credits/rows?${span}&namespace=${namespace.id}`)).data, 2)
    assert.lengthOf((yield* rows(`credits/rows?${span}&namespace=${other.id}`)).data, 0)
    assert.isAbove((yield* rows(`accounts/rows?${span}`)).data.length, 20)
    for (const path of ["nothing/rows", "jobs/rows?cursor=x", "jobs/rows?namespace=x"]) {
      assert.strictEqual((yield* control(`/rollups/${path}`)).status, 400, path)
    }
  }).pipe(Effect.provide(makeWorld()))
)
