/** The network's key in its file: made once, for its owner alone, and never mistaken for another one. */
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result } from "effect"
import { generateKeyPairSync } from "node:crypto"
import { layer } from "../../../src/layers/files/NetworkKeyFile.ts"
import { NetworkKey, parse } from "../../../src/layers/NetworkKey.ts"
import { isSignedBy } from "../../../src/layers/Signatures.ts"
import { temporaryFolder } from "../../support/Process.ts"

const keyIn = (path: string) => Effect.provide(NetworkKey, layer(path), { local: true })

describe("the network's key", () => {
  it.live("is made on the first start, is its owner's alone, and is the same one after it", () =>
    Effect.gen(function* () {
      const folder = join(temporaryFolder(), "data")
      const path = join(folder, "network.key")
      // Two first starts at once have one key.
      const [one, two] = yield* Effect.all([keyIn(path), keyIn(path)], { concurrency: 2 })
      assert.strictEqual(one.publicKey, two.publicKey)
      assert.strictEqual(statSync(path).mode & 0o777, 0o600)
      assert.deepStrictEqual(readdirSync(folder), ["network.key"])
      assert.strictEqual((yield* keyIn(path)).id, one.id)
      const signed = one.sign((keyId) => Buffer.from(`by ${keyId}`))
      assert.isTrue(isSignedBy(one.publicKey, Buffer.from(`by ${one.id}`), signed.signature))
    })
  )

  it.live("is not used when others may read it, or when the file holds something else", () =>
    Effect.gen(function* () {
      const path = join(temporaryFolder(), "network.key")
      writeFileSync(path, "hello\n", { mode: 0o600 })
      assert.include((yield* Effect.flip(keyIn(path))).message, "holds no network key")
      writeFileSync(path, "7".repeat(64))
      assert.isString((yield* keyIn(path)).id)
      chmodSync(path, 0o640)
      assert.include((yield* Effect.flip(keyIn(path))).message, "chmod 600")
      assert.strictEqual(readFileSync(path, "utf8"), "7".repeat(64))
    })
  )

  it("is taken as PEM too, and nothing but Ed25519", () => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519")
    const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString()
    const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("hex")
    assert.strictEqual(Result.getOrThrow(parse(Redacted.make(pem))).publicKey, raw)
    assert.strictEqual(Result.getOrThrow(parse(Redacted.make(pem.replaceAll("\n", "\\n")))).publicKey, raw)
    const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey.export({ format: "pem", type: "pkcs8" })
    for (const bad of ["", "12", "z".repeat(64), rsa.toString()]) {
      assert.isTrue(Result.isFailure(parse(Redacted.make(bad))))
    }
  })
})
