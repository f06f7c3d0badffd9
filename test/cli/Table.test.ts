/** Tables line up, also over pages, and instants are read the way they are written. */
import { assert, describe, it } from "@effect/vitest"
import { instant, instantFault, oneLine, toInstant } from "../../src/cli/Plain.ts"
import { type Column, facts, page } from "../../src/cli/Table.ts"

interface Row {
  readonly name: string
  readonly count: number | null
}
const COLUMNS: ReadonlyArray<Column<Row>> = [
  { title: "NAME", of: ({ name }) => name, max: 6 },
  { title: "COUNT", of: ({ count }) => count, right: true },
  { title: "X", of: () => "" }
]

describe("a table", () => {
  it("aligns words left and figures right, and cuts what is too long", () => {
    const { text } = page(COLUMNS, [
      { name: "ab", count: 5 },
      { name: "abcdefgh", count: null }
    ])
    assert.strictEqual(text, "NAME    COUNT  X\nab          5  -\nabcde…      -  -\n")
  })

  it("goes on under the same columns, when it is told the widths of the page before", () => {
    const first = page(COLUMNS, [{ name: "abcdef", count: 1 }])
    const second = page(COLUMNS, [{ name: "x", count: 22 }], first.widths)
    assert.strictEqual(second.text, "x          22  -\n")
  })

  it("shows one thing as names and values", () => {
    assert.strictEqual(
      facts([
        ["a", 1],
        ["long", null]
      ]),
      "a     1\nlong  -\n"
    )
  })
})

describe("an instant", () => {
  it("is ISO 8601 in UTC, a dash when there is none, and a number when it is beyond time", () => {
    assert.strictEqual(instant(0), "1970-01-01T00:00:00.000Z")
    assert.strictEqual(instant(null), "-")
    assert.strictEqual(instant(9e15), "9000000000000000")
  })

  it("is read from epoch milliseconds and ISO 8601, and from nothing else", () => {
    assert.strictEqual(toInstant("5"), 5)
    assert.strictEqual(toInstant("2026-11-25"), Date.UTC(2026, 10, 25))
    assert.strictEqual(toInstant("2026-11-25T09:00+01:00"), Date.UTC(2026, 10, 25, 8))
    for (const text of ["", "soon", "2026-13-01", "2026-11-25 08:00", "2026-11-25T08:00", "-5", "1e3"]) {
      assert.isNotNull(instantFault(text), text)
    }
  })
})

describe("text on one line", () => {
  it("holds nothing that moves a cursor", () => {
    assert.strictEqual(oneLine("a\r\nb\u001b[1mc\u2066"), "a b\ufffd[1mc\ufffd")
  })
})
