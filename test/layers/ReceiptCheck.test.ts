/** What a reader of a receipt finds out by the file alone. Every byte of it is altered once, and each time the part is named that it stands in. */
import { assert, describe, it } from "@effect/vitest"
import type { Schema } from "effect"
import { checkReceipt } from "../../src/layers/ReceiptCheck.ts"
import { canonicalJson } from "../../src/schemas/CanonicalJson.ts"
import { PART_NAMES, type ReceiptFile } from "../../src/schemas/Receipt.ts"
import { fileBy, identity, row } from "../support/aReceipt.ts"
import { credits } from "../support/factories.ts"
import { networkKeyOf, testKey } from "../support/networkKey.ts"
import { bytesOf, faultsOf, saidOf, withoutNodes } from "../support/receipts.ts"

const whole = fileBy()

/** Where each part stands in the text. */
const placesOf = (file: ReceiptFile) => {
  const text = canonicalJson(file)
  const place = (name: string, key: string, value: Schema.Json, within = 0) => {
    const member = `${JSON.stringify(key)}:${canonicalJson(value)}`
    const from = text.indexOf(member, within)
    return { name, from: Buffer.byteLength(text.slice(0, from)), to: Buffer.byteLength(text.slice(0, from) + member) }
  }
  const within = text.indexOf('"parts":{')
  const { inclusion } = file
  return [
    ...PART_NAMES.flatMap((name) =>
      file.parts[name] === undefined ? [] : place(name, name, file.parts[name], within)
    ),
    // Of a part that was left out only its hash can tell.
    ...PART_NAMES.map((name) =>
      place(file.parts[name] === undefined ? `${name} or hash` : name, name, file.digests[name])
    ),
    place("hash", "hash", file.hash),
    place("network", "network", file.network),
    place("root", "statement", inclusion!.root.statement),
    place("root", "network", inclusion!.root.network),
    place("inclusion", "path", inclusion!.path),
    place("inclusion", "index", inclusion!.index),
    ...(file.opening === undefined ? [] : [place("opening", "opening", file.opening)])
  ]
}

/** Bytes that were altered without being found, or were found in the wrong part. */
const missed = (file: ReceiptFile, isWanted: (name: string | undefined) => boolean) => {
  const bytes = bytesOf(file)
  const places = placesOf(file)
  return [...bytes.keys()].flatMap((at) => {
    const name = places.find(({ from, to }) => at >= from && at < to)?.name
    if (!isWanted(name)) return []
    const altered = Buffer.from(bytes)
    altered[at] = altered[at]! ^ (1 << (at % 7))
    const parts = faultsOf(altered).map(({ part }) => part as string)
    const isNamed =
      name === undefined ? parts.length > 0 : ["file", ...name.split(" or ")].some((each) => parts.includes(each))
    return isNamed
      ? []
      : [`byte ${at} (${String.fromCharCode(bytes[at]!)}) of ${name}: ${parts.join(", ") || "nothing"}`]
  })
}

describe("a receipt", () => {
  it("holds, part by part, with the key that the reader trusts", () => {
    assert.deepStrictEqual(faultsOf(bytesOf(whole)), [])
    assert.deepStrictEqual(faultsOf(bytesOf(withoutNodes(whole))), [])
    const { opening: _opening, ...closed } = whole
    assert.deepStrictEqual(faultsOf(bytesOf(closed)), [])
    assert.include(saidOf(whole, "identity"), identity.nodeId)
    assert.include(saidOf(whole, "inclusion"), "receipt 3 of 5")
    assert.include(saidOf(whole, "network"), "compare it with a key that you trust")
  })

  it("names the part in which any one byte was altered", () => {
    assert.deepStrictEqual(
      missed(withoutNodes(whole), () => true),
      []
    )
  }, 120_000)

  it("names the node's part when any one byte of it was altered", () => {
    assert.deepStrictEqual(
      missed(whole, (name) => name === "identity"),
      []
    )
  }, 120_000)

  it("of another network is told apart by its key", () => {
    const parts = faultsOf(bytesOf(fileBy(networkKeyOf("2")))).map(({ part }) => part)
    assert.deepStrictEqual(parts, ["network", "root"])
    const both = [testKey.publicKey, networkKeyOf("2").publicKey]
    assert.isTrue(checkReceipt(bytesOf(fileBy(networkKeyOf("2"))), both).findings.every(({ holds }) => holds))
  })

  it("that the network signed although it charges more than its quote is found out", () => {
    const faults = faultsOf(bytesOf(fileBy(testKey, { charged: credits(row.charged + 1n) })))
    assert.deepStrictEqual(
      faults.map(({ part }) => part),
      ["usage"]
    )
  })

  it("that is none at all is refused without a crash", () => {
    for (const text of ["", "{}", "null", "[]", '{"format":"resultity/receipt/v1"}', "\u0000", '{"a":1,"a":1}']) {
      const { receipt, findings } = checkReceipt(Buffer.from(text), [])
      assert.isNull(receipt)
      assert.isTrue(findings.some(({ holds }) => !holds))
    }
    assert.strictEqual(faultsOf(Buffer.from([0xff, 0xfe]))[0]?.part, "file")
    assert.strictEqual(faultsOf(Buffer.from(JSON.stringify(whole, null, 2)))[0]?.part, "file")
  })
})
