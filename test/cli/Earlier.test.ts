/**
 * Files that an earlier program made, kept as they were: this one verifies them by itself, without a daemon and without a server, and names what is
 * altered in them. A later form gets a folder beside these; none of these is ever made anew.
 */
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { temporaryFolder } from "../support/Process.ts"
import { call } from "./FakeControl.ts"

const HOME = new URL("../earlier/", import.meta.url).pathname

/** Where nobody listens: whoever asks a daemon fails. */
const NOWHERE = { RESULTITY_CONTROL_URL: "http://127.0.0.1:9" }
const resultity = (...words: ReadonlyArray<string>) => call(words, NOWHERE)

const altered = (path: string, at: number): void => {
  const bytes = readFileSync(path)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

const copyOf = (day: string): string => {
  const folder = temporaryFolder()
  cpSync(join(HOME, day), folder, { recursive: true })
  return folder
}

for (const day of readdirSync(HOME)) {
  describe(`what was made on ${day}`, () => {
    it.live("holds: receipts, an archive and a snapshot, which is restored", () =>
      Effect.gen(function* () {
        const folder = copyOf(day)
        for (const name of ["receipt.json", "receipt-operator.json"]) {
          const { exit, out } = yield* resultity("receipt", "verify", join(folder, name))
          assert.strictEqual(exit, 0, out)
        }
        const archive = yield* resultity("archive", "verify", "--from", join(folder, "archive"))
        assert.strictEqual(archive.exit, 0, archive.err)
        const lines = yield* resultity("archive", "cat", "--from", join(folder, "archive"), "--all")
        assert.match(lines.out, /^\{"logs":/)
        const car = join(folder, "state.car")
        const snapshot = yield* resultity("snapshot", "verify", "--from", car)
        assert.deepStrictEqual([snapshot.exit, snapshot.err], [0, ""])
        const restored = yield* resultity("snapshot", "restore", "--from", car, "--data", join(folder, "data"))
        assert.strictEqual(restored.exit, 0, restored.err)
      })
    )

    it.live("is named where a byte of it is altered", () =>
      Effect.gen(function* () {
        const folder = copyOf(day)
        altered(join(folder, "receipt.json"), 700)
        const receipt = yield* resultity("receipt", "verify", join(folder, "receipt.json"))
        assert.strictEqual(receipt.exit, 1)
        const segments = join(folder, "archive", "segments")
        const blob = readdirSync(segments).find((name) => name.endsWith(".gz")) ?? ""
        altered(join(segments, blob), 999)
        const archive = yield* resultity("archive", "verify", "--from", join(folder, "archive"))
        assert.strictEqual(archive.exit, 1)
        assert.include(`${archive.out}${archive.err}`, blob.replace(".ndjson.gz", ""))
        altered(join(folder, "state.car"), 9_000)
        const snapshot = yield* resultity("snapshot", "verify", "--from", join(folder, "state.car"))
        assert.strictEqual(snapshot.exit, 1)
      })
    )
  })
}
