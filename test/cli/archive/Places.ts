/** Archives to read without a daemon: folders of segments as a retention pass writes them, with the lines that went in. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll } from "vitest"
import { type Driver, make, type NewSegment } from "../../../src/layers/Archive.ts"
import * as FileArchive from "../../../src/layers/files/FileArchive.ts"
import { segmentIdOf } from "../../../src/policies/Retention.ts"
import { canonicalJson } from "../../../src/schemas/CanonicalJson.ts"
import type { JobRecord } from "../../../src/schemas/JobRecord.ts"
import { aFinishedRecord, aLogEntry, archiveLine, freshNamespace, pieces } from "../../support/recordFactories.ts"

const home = mkdtempSync(join(tmpdir(), "archive-offline-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
let folders = 0
/** A folder that is not there yet. */
export const freshFolder = () => join(home, String(++folders))

export const FINISHED = 1_700_000_000_000

/** The segment of these ended jobs of one namespace. */
export const segmentOf = (records: ReadonlyArray<JobRecord>, over: Partial<NewSegment> = {}): NewSegment => {
  const ends = records.map(({ finishedAt }) => finishedAt ?? 0)
  const namespaceId = records[0]!.namespaceId
  return {
    id: segmentIdOf(
      namespaceId,
      records.map(({ jobId }) => jobId)
    ),
    dataClass: "jobs",
    namespaceId,
    recordVersion: 1,
    from: Math.min(...ends),
    to: Math.max(...ends),
    createdAt: FINISHED + 1,
    lines: records.map((record) => archiveLine({ record, traces: pieces(1, 3), logs: [aLogEntry(namespaceId)] })),
    ...over
  }
}

export const aSegment = (jobs = 2, over: Partial<NewSegment> = {}): NewSegment => {
  const namespaceId = freshNamespace()
  return segmentOf(
    Array.from({ length: jobs }, (_, at) => aFinishedRecord(FINISHED + at, { namespaceId })),
    over
  )
}

export const jobOf = (line: string): string => (JSON.parse(line) as { record: { jobId: string } }).record.jobId

export const write = (driver: Driver, segments: ReadonlyArray<NewSegment>) =>
  Effect.forEach(segments, (segment) => make(driver).write(segment))

/** A new folder with these segments in it. */
export const folderOf = (...segments: ReadonlyArray<NewSegment>) =>
  Effect.gen(function* () {
    const root = freshFolder()
    yield* write(FileArchive.driver(root), segments)
    return root
  })

export const textOf = (...segments: ReadonlyArray<NewSegment>): string =>
  segments
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .flatMap(({ lines }) => lines.map((line) => `${line}\n`))
    .join("")

export const blobOf = (root: string, { id }: NewSegment) => join(root, `segments/${id}.ndjson.gz`)
export const manifestOf = (root: string, { id }: NewSegment) => join(root, `segments/${id}.manifest.json`)

/** Writes the manifest anew with other fields, as a program that vouches for them would, or an old one that does not. */
export const rewriteManifest = (path: string, change: (fields: Record<string, unknown>) => Record<string, unknown>) => {
  const { digest: _, ...others } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>
  writeFileSync(path, `${canonicalJson(change(others) as never)}\n`)
}

export const flip = (path: string, index: number, bit = 0): void => {
  const bytes = readFileSync(path)
  bytes[index] = (bytes[index] ?? 0) ^ (1 << bit)
  writeFileSync(path, bytes)
}

/** Names and bytes of everything in the folder. */
export const everythingIn = (root: string) =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
    .map((path) => [path.slice(root.length), readFileSync(path).toString("hex")])
