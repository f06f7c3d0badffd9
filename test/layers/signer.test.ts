/** Keys that sign, in memory and in a file. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import * as FileSigner from "../../src/layers/files/FileSigner.ts"
import * as MemorySigner from "../../src/layers/memory/MemorySigner.ts"
import { Signer } from "../../src/layers/Signer.ts"
import { signerContract } from "./contracts/Signer.contract.ts"

const folder = mkdtempSync(join(tmpdir(), "resultity-signer-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

signerContract("memory", MemorySigner.layer)
signerContract("a file", FileSigner.layer(join(folder, "one", "network.key")))

const publicKeyIn = (path: string) =>
  Effect.map(Signer, ({ publicKey }) => publicKey).pipe(Effect.provide(FileSigner.layer(path), { local: true }))

it.effect("a key in a file stays the same, is its owner's alone, and a file that holds none is told", () =>
  Effect.gen(function* () {
    const path = join(folder, "two", "network.key")
    const first = yield* publicKeyIn(path)
    assert.strictEqual(yield* publicKeyIn(path), first)
    assert.strictEqual(statSync(path).mode & 0o777, 0o600)
    assert.include(readFileSync(path, "utf8"), "BEGIN PRIVATE KEY")
    writeFileSync(path, "nothing")
    assert.deepInclude({ ...(yield* Effect.flip(publicKeyIn(path))) }, { _tag: "Outage", of: "Signer" })
  })
)
