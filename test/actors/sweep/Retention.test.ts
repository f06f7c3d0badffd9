/** The laws of retention over the stores that need no server. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Layer } from "effect"
import { afterAll } from "vitest"
import * as Backends from "../../../src/Backends.ts"
import * as MemoryRecordsLayers from "../../../src/layers/memory/MemoryRecordsLayers.ts"
import * as MemoryStateLayers from "../../../src/layers/memory/MemoryStateLayers.ts"
import { retentionLaws } from "./retentionLaws.ts"
import { testNetworkKey } from "../../support/networkKey.ts"

const home = mkdtempSync(join(tmpdir(), "retention-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
let folders = 0

retentionLaws("memory", () => Layer.mergeAll(MemoryRecordsLayers.layer, MemoryStateLayers.layer, testNetworkKey), 100)
retentionLaws("SQLite and files", () => Backends.embedded(join(home, `${++folders}`)), 100)
