/** What is true of the archive in files only: names, modes, what failures and killed processes leave behind. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { afterAll, assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Archive } from "../../../src/layers/Archive.ts"
import * as FileArchive from "../../../src/layers/files/FileArchive.ts"
import { freshNamespace, freshSegment } from "../../support/recordFactories.ts"

const BLOB = "segments/blob"
const home = mkdtempSync(join(tmpdir(), "archive-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
let folders = 0
const folder = () => join(home, `${++folders}`, "cold", "storage")

const bytes = (text: string) => Uint8Array.from(Buffer.from(text))
const opened = Effect.fnUntraced(function* (root: string) {
  yield* Effect.provide(Effect.asVoid(Archive), FileArchive.layer({ root }))
  return FileArchive.driver(root)
})
const modeOf = (path: string) => statSync(path).mode & 0o777

it.effect("FileArchive makes folders and files for their owner only", () =>
  Effect.gen(function* () {
    const root = folder()
    const driver = yield* opened(root)
    yield* driver.put("segments/deep/a.bin", bytes("a"))
    assert.deepStrictEqual(
      ["", "segments", "segments/deep"].map((name) => modeOf(join(root, name))),
      [0o700, 0o700, 0o700]
    )
    assert.strictEqual(modeOf(join(root, "segments/deep/a.bin")), 0o600)
  })
)

it.effect("FileArchive closes a folder that stood open", () =>
  Effect.gen(function* () {
    const root = folder()
    mkdirSync(root, { recursive: true, mode: 0o755 })
    yield* opened(root)
    assert.strictEqual(modeOf(root), 0o700)
  })
)

it.effect("FileArchive takes a name that leads out of its folder for a bug, whatever is asked", () =>
  Effect.gen(function* () {
    const root = folder()
    const driver = yield* opened(root)
    const names = [
      "../x",
      "a/../../x",
      "/etc/passwd",
      "",
      ".",
      "a//b",
      "a/",
      ".x.part",
      "a.part",
      "a\u0000b",
      "A\\..\\b"
    ]
    for (const name of names) {
      for (const effect of [driver.put(name, bytes("x")), driver.get(name)]) {
        const exit = yield* Effect.exit(effect)
        assert.strictEqual(exit._tag === "Failure" && exit.cause.reasons[0]?._tag, "Die", name)
      }
    }
    assert.deepStrictEqual(readdirSync(root), [])
  })
)

it.effect("FileArchive lets whoever reads a blob read it to its end while it is written anew", () =>
  Effect.gen(function* () {
    const root = folder()
    const driver = yield* opened(root)
    yield* driver.put(BLOB, bytes("old"))
    const reader = openSync(join(root, BLOB), "r")

    yield* driver.put(BLOB, bytes("newer"))

    assert.strictEqual(readFileSync(reader, "utf8"), "old")
    closeSync(reader)
    assert.deepStrictEqual(Buffer.from((yield* driver.get(BLOB)) ?? []).toString(), "newer")
  })
)

it.effect("FileArchive lists by prefix, sorted, and never what a crash left half written", () =>
  Effect.gen(function* () {
    const root = folder()
    const driver = yield* opened(root)
    yield* Effect.forEach(["segments/b", "segments/a", "other/c"], (name) => driver.put(name, bytes(name)))
    writeFileSync(join(root, "segments", ".0.part"), "half")

    assert.deepStrictEqual(yield* driver.names("segments/"), ["segments/a", "segments/b"])
    assert.deepStrictEqual(yield* driver.names(""), ["other/c", "segments/a", "segments/b"])
    assert.isNull(yield* driver.get("segments/unknown"))
  })
)

it.effect("FileArchive is out, and leaves nothing half written, when a file cannot take its place", () =>
  Effect.gen(function* () {
    const root = folder()
    const driver = yield* opened(root)
    mkdirSync(join(root, BLOB), { recursive: true })

    const put = yield* Effect.flip(driver.put(BLOB, bytes("x")))
    const get = yield* Effect.flip(driver.get(BLOB))

    assert.deepStrictEqual([put.of, put.during, get.during], ["Archive", "put", "get"])
    assert.deepStrictEqual(readdirSync(join(root, "segments")), ["blob"])
  })
)

it.effect("FileArchive is out when its folder is gone, also at the start", () =>
  Effect.gen(function* () {
    const root = folder()
    const driver = yield* opened(root)
    rmSync(root, { recursive: true })
    writeFileSync(root, "in the way")

    assert.strictEqual((yield* Effect.flip(driver.names("")))._tag, "Outage")
    assert.strictEqual((yield* Effect.flip(driver.put(BLOB, bytes("x"))))._tag, "Outage")
    assert.strictEqual((yield* Effect.flip(opened(root)))._tag, "Outage")
  })
)

it.effect("FileArchive writes segments that gunzip alone can read", () =>
  Effect.gen(function* () {
    const root = folder()
    const id = freshSegment()
    const lines = ['{"a":1}', '{"b":2}']
    const about = {
      id,
      dataClass: "jobs",
      namespaceId: freshNamespace(),
      recordVersion: 1,
      from: 0,
      to: 0,
      createdAt: 0
    } as const
    yield* Effect.provide(
      Effect.flatMap(Archive, (archive) => archive.write({ ...about, lines })),
      FileArchive.layer({ root })
    )
    const file = gunzipSync(readFileSync(join(root, `segments/${id}.ndjson.gz`))).toString()
    assert.strictEqual(file, lines.map((line) => `${line}\n`).join(""))
  })
)

it.effect("FileArchive holds one whole writing of a blob when its process is killed while it writes it anew", () =>
  Effect.gen(function* () {
    const root = folder()
    const driver = yield* opened(root)
    for (let round = 0; round < 2; round++) {
      const child = spawn(process.execPath, ["test/support/recordsChild.ts", "archive", root], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      const exit = once(child, "exit")
      yield* Effect.promise(() => once(child.stdout, "data"))
      child.kill("SIGKILL")
      yield* Effect.promise(() => exit)

      const found = yield* driver.get(BLOB)
      assert.strictEqual(found?.byteLength, 4_000_000)
      assert.strictEqual(new Set(found).size, 1)
      assert.deepStrictEqual(yield* driver.names(""), [BLOB])
    }
  })
)
