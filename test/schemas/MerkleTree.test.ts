/** Trees as RFC 6962 has them: the vectors of Certificate Transparency, and that a path proves its place and no other. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { EMPTY_ROOT, leafHash, pathIn, rootFrom, rootOver } from "../../src/schemas/MerkleTree.ts"

const INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
/** Of the first n inputs, as the reference implementation of Certificate Transparency has them. */
const ROOTS = [
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
]

describe("a Merkle tree", () => {
  it("has the roots of the reference implementation", () => {
    for (const [n, root] of ROOTS.entries())
      assert.strictEqual(rootOver(INPUTS.slice(0, n).map(leafHash)), root, `${n}`)
    assert.strictEqual(ROOTS[0], EMPTY_ROOT)
  })

  it.effect.prop(
    "proves each leaf at its own place, and at no other, by a path that nobody shortens or lengthens",
    { size: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 70 })), pick: Schema.Natural },
    ({ size, pick }) =>
      Effect.sync(() => {
        const leaves = Array.from({ length: size }, (_, n) => leafHash(n.toString(16).padStart(4, "0")))
        const root = rootOver(leaves)
        const index = pick % size
        const path = pathIn(leaves, index)
        assert.strictEqual(rootFrom(leaves[index]!, index, size, path), root)
        for (let other = 0; other < size; other++) {
          if (other !== index) assert.notStrictEqual(rootFrom(leaves[index]!, other, size, path), root)
        }
        assert.isNull(rootFrom(leaves[index]!, size, size, path))
        assert.isNull(rootFrom(leaves[index]!, index, size, [...path, root]))
        if (path.length > 0) assert.isNull(rootFrom(leaves[index]!, index, size, path.slice(0, -1)))
      })
  )
})
