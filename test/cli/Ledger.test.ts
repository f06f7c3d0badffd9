/** What the commands of the ledger say when something is wrong, and what they ask when there is more than one page. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { callAt, fake } from "./FakeControl.ts"
import { entry, invoice, rollups } from "./ledgerCases.ts"

const NS = invoice.namespaceId
const balance = (available: string) => ({ granted: "10", available, reserved: "0", spent: "0" })

describe("resultity ledger audit", () => {
  it.live(
    "S23: names the namespaces whose balance is not the sum of its entries, with both rows, and exits with 1",
    () =>
      Effect.gen(function* () {
        const control = yield* fake
        const finding = { namespaceId: NS, stored: balance("10"), summed: balance("9") }
        const answer = { ok: false, namespaces: 2, totals: balance("10"), findings: [finding] }
        control.answer({ json: answer }, { json: answer })
        const { exit, out, err } = yield* callAt(control, "ledger", "audit")
        assert.strictEqual(exit, 1)
        assert.match(out, /^NAMESPACE[^\n]*\nns_\w+ +stored +10 +10 +0 +0\nns_\w+ +of its entries +10 +9 +0 +0\n$/)
        assert.match(err, /^broken: The balance of 1 of 2 namespaces is not the sum/)
        const json = yield* callAt(control, "ledger", "audit", "--json")
        assert.deepStrictEqual([json.exit, JSON.parse(json.out)], [1, answer])
      })
  )
})

describe("resultity ledger show", () => {
  it.live("goes on page after page, and carries the sums over", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const pages = [
        { json: { data: [entry(1, "grant", "10", null)], next: 1 } },
        { json: { data: [entry(7, "grant", "5", null)], next: null } }
      ]
      control.answer(...pages, ...pages)
      const { out } = yield* callAt(control, "ledger", "show", NS)
      assert.match(out, /^ENTRY[^\n]*\n +1 [^\n]* 10 +10 [^\n]*\n +7 [^\n]* 5 +15 [^\n]*\n$/)
      assert.deepStrictEqual(
        control.asked.map(({ path }) => path.split("?")[1]),
        ["after=0&limit=1000", "after=1&limit=1000"]
      )
      const json = yield* callAt(control, "ledger", "show", NS, "--json")
      assert.deepStrictEqual(JSON.parse(json.out), {
        data: [entry(1, "grant", "10", null), entry(7, "grant", "5", null)],
        next: null
      })
    })
  )

  it.live("begins and ends where it is told, says no sums then, and says when there is nothing", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer({ json: { data: [entry(8, "grant", "5", null)], next: 8 } }, { json: { data: [], next: null } })
      const { out } = yield* callAt(control, "ledger", "show", NS, "--after", "7", "--limit", "1")
      assert.match(out, / 8 [^\n]* grant +5 +- +- +- +invoice-1\n$/)
      assert.strictEqual(control.asked[0]?.path, `/control/namespaces/${NS}/entries?after=7&limit=1`)
      assert.strictEqual((yield* callAt(control, "ledger", "show", NS)).out, "No entries.\n")
    })
  )
})

describe("resultity invoice", () => {
  it.live("exits with 1 when it does not agree with the ledger, and says when it is preliminary", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const preliminary = { invoice: { ...invoice, preliminary: true }, reconciled: null }
      control.answer({ json: { invoice, reconciled: false } }, { json: preliminary })
      const wrong = yield* callAt(control, "invoice", "--namespace", NS)
      assert.strictEqual(wrong.exit, 1)
      assert.match(wrong.err, /^broken: The invoice does not agree/)
      const early = yield* callAt(control, "invoice", "--namespace", NS)
      assert.strictEqual(early.exit, 0)
      assert.match(early.out, /^standing +preliminary/m)
    })
  )

  it.live("hands the CSV on as it is", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer({ text: "line,amount\r\n", type: "text/csv" })
      const { out } = yield* callAt(control, "invoice", "--namespace", NS, "--from", "2026-11-01", "--csv")
      assert.strictEqual(out, "line,amount\r\n")
      assert.strictEqual(
        control.asked[0]?.path,
        `/control/namespaces/${NS}/invoice?from=${Date.UTC(2026, 10, 1)}&format=csv`
      )
    })
  )
})

describe("resultity rollups", () => {
  it.live("archive goes on week after week until nothing is left", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const day = { day: "2026-10-30", rows: 70, segments: [] }
      control.answer(
        { json: { data: [day], more: true } },
        { json: { data: [{ ...day, day: "2026-10-31" }], more: false } }
      )
      const { out } = yield* callAt(control, "rollups", "archive", "--before", "2026-11-01", "--reason", "old")
      assert.match(out, /^2026-10-30: 70 rows .*\n2026-10-31: 70 rows .*\n2 days archived\.\n$/)
      control.answer({ json: { data: [], more: false } })
      const nothing = yield* callAt(control, "rollups", "archive", "--before", "2026-11-01", "--reason", "old")
      assert.match(nothing.out, /^No closed day/)
    })
  )

  it.live("list says that there is nothing, and a day has to be one", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer({ json: { ...rollups, data: [] } })
      assert.match((yield* callAt(control, "rollups", "list")).out, /\nNo rows\.\n$/)
      assert.strictEqual((yield* callAt(control, "rollups", "list", "--from", "yesterday")).exit, 2)
    })
  )
})
