/** The laws of erasure over the stores that need no server, and what is left of an erased body in the bytes of a data folder. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { gunzipSync } from "node:zlib"
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { afterAll } from "vitest"
import * as Backends from "../../../src/Backends.ts"
import { Erasures } from "../../../src/layers/Erasures.ts"
import * as MemoryRecordsLayers from "../../../src/layers/memory/MemoryRecordsLayers.ts"
import * as MemoryStateLayers from "../../../src/layers/memory/MemoryStateLayers.ts"
import { ErasureId } from "../../../src/schemas/Ids.ts"
import { eraseAll, provided, sweepAll, theNamespace } from "../../support/RetentionHouse.ts"
import { CANARY, erasureLaws, telltale } from "./erasureLaws.ts"
import { testNetworkKey } from "../../support/networkKey.ts"

const home = mkdtempSync(join(tmpdir(), "erasure-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
let folders = 0
const folder = () => join(home, `${++folders}`)

erasureLaws("memory", () => Layer.mergeAll(MemoryRecordsLayers.layer, MemoryStateLayers.layer, testNetworkKey))
erasureLaws("SQLite and files", () => Backends.embedded(folder()))

/** Every file below, those of the archive unpacked. */
const filesIn = (root: string): ReadonlyArray<readonly [string, Buffer]> =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => {
      const bytes = readFileSync(join(parentPath, name))
      return [name, name.endsWith(".gz") ? gunzipSync(bytes) : bytes] as const
    })

const telling = (root: string) => filesIn(root).flatMap(([name, bytes]) => (bytes.includes(CANARY) ? [name] : []))

it.effect(
  "no file of the data folder says a word of what was erased, once the database was compacted",
  () =>
    Effect.gen(function* () {
      const root = folder()
      yield* provided(
        Backends.embedded(root),
        Effect.gen(function* () {
          const namespace = yield* theNamespace({ retentionDays: 20 })
          for (const days of [1, 2, 40, 41]) yield* telltale(namespace, days)
          yield* sweepAll()
          assert.includeMembers([...telling(root)].toSorted(), ["resultity.db-wal"])
          assert.isTrue(telling(root).some((name) => name.endsWith(".gz")))
          const order = { by: "tester", reason: "asked", askedAt: 1, jobId: null, clientTag: null }
          yield* (yield* Erasures).order({ id: ErasureId.make("erasure_1"), namespaceId: namespace.id, ...order })
          yield* eraseAll
          assert.deepStrictEqual(
            telling(root).filter((name) => name.endsWith(".gz")),
            []
          )
        })
      )
      const db = new DatabaseSync(join(root, "resultity.db"))
      db.exec("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
      db.close()
      assert.deepStrictEqual(telling(root), [])
    }),
  60_000
)
