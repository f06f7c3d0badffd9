/** The key in the data folder: one for all who start at once, for its owner only, and the same after a restart. */
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { afterAll } from "vitest"
import * as FileSigner from "../../../src/layers/files/FileSigner.ts"
import * as MemorySigner from "../../../src/layers/memory/MemorySigner.ts"
import { Signer } from "../../../src/layers/Signer.ts"
import { signerContract } from "../contracts/Signer.contract.ts"

const home = mkdtempSync(join(tmpdir(), "signer-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))

signerContract("memory", MemorySigner.layer)
signerContract("files", FileSigner.layer(join(home, "laws")))

const keyOf = (folder: string) =>
  Effect.map(Signer, ({ publicKey }) => publicKey).pipe(Effect.provide(FileSigner.layer(folder), { local: true }))

it.effect("A key file is made once, also by those who start at the same time, and is its owner's alone", () =>
  Effect.gen(function* () {
    const folder = join(home, "one", "two")
    const keys = yield* Effect.forEach(Array.from({ length: 8 }), () => keyOf(folder), { concurrency: 8 })
    assert.strictEqual(new Set(keys).size, 1)
    assert.strictEqual(yield* keyOf(folder), keys[0])
    assert.strictEqual(statSync(join(folder, "network-key.pem")).mode & 0o777, 0o600)
  })
)
