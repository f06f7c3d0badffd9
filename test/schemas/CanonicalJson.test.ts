import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { canonicalJson } from "../../src/schemas/CanonicalJson.ts"
import { withPlainKeys } from "../support/PlainKeys.ts"

type Json = Schema.Json
const PlainJson = Arbitrary.map(Arbitrary.schema(Schema.Json), withPlainKeys)
const isObject = (value: Json): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)
/** The same value with the keys of every object the other way round. */
const reversed = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(reversed)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, inner]) => [key, reversed(inner!)])
  )
}
const parsed = (value: Json) => JSON.parse(JSON.stringify(value)) as Json

describe("canonicalJson", () => {
  it.prop("the order of keys never matters", { value: PlainJson }, ({ value }) => {
    assert.strictEqual(canonicalJson(reversed(value)), canonicalJson(value))
  })

  it.prop("parsing what it wrote gives the value", { value: PlainJson }, ({ value }) => {
    assert.deepStrictEqual(JSON.parse(canonicalJson(value)), parsed(value))
  })

  it.prop("it is its own canonical form after a trip through JSON", { value: PlainJson }, ({ value }) => {
    assert.strictEqual(canonicalJson(JSON.parse(canonicalJson(value)) as Json), canonicalJson(value))
  })

  it.prop("different values have different forms", { a: PlainJson, b: PlainJson }, ({ a, b }) => {
    const equal = (() => {
      try {
        assert.deepStrictEqual(parsed(a), parsed(b))
        return true
      } catch {
        return false
      }
    })()
    assert.strictEqual(canonicalJson(a) === canonicalJson(b), equal)
  })

  it("keys stand in order of their code units, at every depth, without spaces", () => {
    assert.strictEqual(
      canonicalJson({
        b: [{ z: 1, a: null }],
        "": true,
        a: 'ü\n"',
        A: 0.5,
        "10": 1,
        "9": 2,
        "\u{1f600}": 1,
        "\uffff": 2
      }),
      '{"":true,"10":1,"9":2,"A":0.5,"a":"ü\\n\\"","b":[{"a":null,"z":1}],"\u{1f600}":1,"\uffff":2}'
    )
  })

  it("numbers have the one spelling of JSON", () => {
    assert.strictEqual(canonicalJson([1.0, -0, 1e21, 1e-7, 0.1]), "[1,0,1e+21,1e-7,0.1]")
  })

  it("a key called __proto__ is a key like another", () => {
    const value = JSON.parse('{"b":1,"__proto__":{"x":2}}') as Json
    assert.strictEqual(canonicalJson(value), '{"__proto__":{"x":2},"b":1}')
  })
})
