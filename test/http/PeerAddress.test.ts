import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { make } from "../../src/http/PeerAddress.ts"
import { AddressRange } from "../../src/schemas/AddressRange.ts"

const isRange = Schema.is(AddressRange)

const GATEWAYS = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]

const from = (peer: string, said?: string | Array<string>, trusted: ReadonlyArray<string> = GATEWAYS) =>
  make(trusted)({ socket: { remoteAddress: peer }, headers: said === undefined ? {} : { "x-forwarded-for": said } })

describe("whose request it is", () => {
  it("is the peer's, whatever it says, when the peer is no gateway of ours", () => {
    assert.strictEqual(from("203.0.113.9", "198.51.100.1"), "203.0.113.9")
    assert.strictEqual(from("10.0.0.2", "198.51.100.1", []), "10.0.0.2")
    assert.strictEqual(from("10.0.0.2"), "10.0.0.2")
  })

  it("is the last address that no gateway has, also over several gateways", () => {
    assert.strictEqual(from("10.0.0.2", "198.51.100.1"), "198.51.100.1")
    assert.strictEqual(from("10.0.0.2", "198.51.100.1, 10.3.3.3, 192.0.2.7"), "198.51.100.1")
    assert.strictEqual(from("10.0.0.2", ["198.51.100.1", "10.3.3.3"]), "198.51.100.1")
    assert.strictEqual(from("2001:db8::5", "2001:4860::1"), "2001:4860::1")
    assert.strictEqual(from("10.0.0.2", "10.0.0.9"), "10.0.0.9")
  })

  it("is not what the client put in front of that", () => {
    assert.strictEqual(from("10.0.0.2", "1.1.1.1, 198.51.100.1"), "198.51.100.1")
    assert.strictEqual(from("10.0.0.2", "not an address"), "10.0.0.2")
    assert.strictEqual(from("10.0.0.2", "garbage, 10.3.3.3"), "10.3.3.3")
    assert.strictEqual(from("10.0.0.2", `${"1.1.1.1,".repeat(1_000)}198.51.100.1`), "198.51.100.1")
  })

  it("is an IPv4 address in one spelling", () => {
    assert.strictEqual(from("::ffff:203.0.113.9"), "203.0.113.9")
    assert.strictEqual(from("::ffff:10.0.0.2", "::ffff:198.51.100.1"), "198.51.100.1")
  })
})

describe("a gateway", () => {
  it("is named by an address or a range", () => {
    for (const good of ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", "0.0.0.0/0"]) assert.isTrue(isRange(good), good)
    for (const bad of ["", "gateway", "10.0.0.0/33", "10.0.0.0/x", "::1/129", "10.0.0.1/8/8", "10.0.0.0/"])
      assert.isFalse(isRange(bad), bad)
  })
})
