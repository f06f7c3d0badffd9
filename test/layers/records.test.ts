/** The record suites on every back end that needs no server. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Archive } from "../../src/layers/Archive.ts"
import * as FileArchive from "../../src/layers/files/FileArchive.ts"
import { flipByte } from "../../src/layers/memory/MemoryArchive.ts"
import * as MemoryRecords from "../../src/layers/memory/MemoryRecords.ts"
import * as MemoryRecordsLayers from "../../src/layers/memory/MemoryRecordsLayers.ts"
import * as SqliteClient from "../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteRecords from "../../src/layers/sqlite/SqliteRecords.ts"
import { freshNamespace, freshSegment } from "../support/recordFactories.ts"
import { archiveContract } from "./contracts/Archive.contract.ts"
import { entryRetentionContract } from "./contracts/EntryRetention.contract.ts"
import { incidentsContract } from "./contracts/Incidents.contract.ts"
import { jobRecordsContract } from "./contracts/JobRecords.contract.ts"
import { jobSearchContract } from "./contracts/JobSearch.contract.ts"
import { logsContract } from "./contracts/Logs.contract.ts"
import { recordRetentionContract } from "./contracts/RecordRetention.contract.ts"
import { signalsContract } from "./contracts/Signals.contract.ts"
import { tracesContract } from "./contracts/Traces.contract.ts"

const home = mkdtempSync(join(tmpdir(), "records-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
let folders = 0
const folder = () => join(home, `${++folders}`)

const sqlite = (path: string) => Layer.provide(SqliteRecords.layer, SqliteClient.layer({ path }))

const backEnds = {
  memory: () => MemoryRecordsLayers.over(MemoryRecords.make()),
  "SQLite in memory": () => sqlite(":memory:"),
  "SQLite in a folder": () => sqlite(join(folder(), "resultity.db"))
}

/** A store in memory alone ends with its daemon, so its later lives are lived in a folder. */
const livesOf = { ...backEnds, "SQLite in memory": backEnds["SQLite in a folder"] }

for (const name of ["memory", "SQLite in memory", "SQLite in a folder"] as const) {
  const layer = backEnds[name]
  jobRecordsContract(name, layer())
  tracesContract(name, layer())
  logsContract(name, layer())
  jobSearchContract(name, layer())
  recordRetentionContract(name, layer(), { lives: livesOf[name]() })
  incidentsContract(name, layer())
  signalsContract(name, layer())
  entryRetentionContract(name, layer())
}

const state = MemoryRecords.make()
archiveContract("memory", MemoryRecordsLayers.over(state), {
  read: (name) => state.blobs.get(name) ?? null,
  write: (name, bytes) => state.blobs.set(name, bytes),
  remove: (name) => state.blobs.delete(name),
  refusing: (name, body) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        state.refusesPut = (each) => each === name
      }),
      () => body,
      () =>
        Effect.sync(() => {
          state.refusesPut = () => false
        })
    )
})

const root = folder()
archiveContract("files", FileArchive.layer({ root }), {
  read: (name) => (existsSync(join(root, name)) ? Uint8Array.from(readFileSync(join(root, name))) : null),
  write: (name, bytes) => writeFileSync(join(root, name), bytes),
  remove: (name) => rmSync(join(root, name)),
  // No file is renamed over a folder, whoever the process runs as.
  refusing: (name, body) =>
    Effect.acquireUseRelease(
      Effect.sync(() => mkdirSync(join(root, name), { recursive: true })),
      () => body,
      () => Effect.sync(() => rmdirSync(join(root, name)))
    )
})

it.effect("a memory archive tells of one flipped byte and goes on where it stood when the state is kept", () =>
  Effect.gen(function* () {
    const kept = MemoryRecords.make()
    const life = <A, E>(body: Effect.Effect<A, E, Archive>) =>
      Effect.provide(body, MemoryRecordsLayers.over(kept), { local: true })
    const segment = {
      id: freshSegment(),
      dataClass: "jobs" as const,
      namespaceId: freshNamespace(),
      recordVersion: 1,
      from: 0,
      to: 0,
      createdAt: 0,
      lines: ["{}"]
    }
    const manifest = yield* life(Effect.flatMap(Archive, (archive) => archive.write(segment)))
    const verify = life(Effect.flatMap(Archive, (archive) => archive.verify(segment.id)))
    assert.deepStrictEqual(yield* verify, manifest)

    assert.isTrue(flipByte(kept, `segments/${segment.id}.ndjson.gz`, 12))

    assert.strictEqual((yield* Effect.flip(verify))._tag, "BrokenSegment")
    assert.isFalse(flipByte(kept, "segments/unknown", 0))
  })
)
