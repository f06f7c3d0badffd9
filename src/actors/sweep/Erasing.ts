/**
 * What was asked and answered goes, from one live record or from one segment, and a signed stone stays. The stone is durable first. A segment is not
 * changed: another one without the job takes its place, is read back, and only then the first one goes. The row forgets the end user before the record
 * does, because the record is where the jobs of an end user are found.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Archive, BrokenSegment } from "../../layers/Archive.ts"
import type { Erasures } from "../../layers/Erasures.ts"
import type { JobStore } from "../../layers/JobStore.ts"
import type { JobRecords } from "../../layers/JobRecords.ts"
import type { NetworkKey } from "../../layers/NetworkKey.ts"
import { Outage } from "../../layers/Outage.ts"
import type { RecordRetention } from "../../layers/RecordRetention.ts"
import { erasureMarkOf, successorOf } from "../../policies/Retention.ts"
import type { SegmentManifest } from "../../schemas/Archive.ts"
import { bodySha256 } from "../../schemas/Body.ts"
import { canonicalJson } from "../../schemas/CanonicalJson.ts"
import type { Erasure } from "../../schemas/Erasure.ts"
import type { JobId, NamespaceId } from "../../schemas/Ids.ts"
import { type JobRecord, RECORD_VERSION } from "../../schemas/JobRecord.ts"
import { type ErasureStone, stoneBytes } from "../../schemas/Tombstone.ts"

export interface ErasingHouse {
  readonly erasures: Erasures["Service"]
  readonly records: JobRecords["Service"]
  readonly retention: RecordRetention["Service"]
  readonly archive: Archive["Service"]
  readonly key: NetworkKey["Service"]
  readonly store: Pick<JobStore["Service"], "get" | "forgetTags">
}

type Facts = Pick<JobRecord, "jobId" | "namespaceId" | "finishedAt" | "tombstone">

const SCOPE = { _tag: "Operator", by: "sweeper/erasure" } as const

/** The first stone of a job stands, and with it the hash of what was there when it was first found. */
const buryFor = ({ erasures, key }: ErasingHouse, { jobId, namespaceId, finishedAt }: Facts, sha256: string) =>
  Effect.gen(function* () {
    const known = yield* erasures.stone(jobId)
    if (known !== null) return known
    const erasedAt = yield* Clock.currentTimeMillis
    const bare = { jobId, namespaceId, finishedAt: finishedAt ?? 0, sha256, erasedAt, key: key.publicKey }
    return yield* erasures.bury({ ...bare, signature: key.sign(() => stoneBytes(bare)).signature })
  })

const hashOf = (record: JobRecord): string => record.tombstone?.sha256 ?? bodySha256(record)

/** gone: there is no live record. waits: retention has it in its hands. refused: it is under legal hold. */
export type LiveOutcome = "erased" | "gone" | "waits" | "refused"

export const eraseLive = (house: ErasingHouse, order: Erasure, jobId: JobId) =>
  Effect.gen(function* (): Effect.fn.Return<LiveOutcome, Outage> {
    const record = yield* house.records.get({ _tag: "Namespace", namespaceId: order.namespaceId }, jobId)
    if (record === null) return "gone"
    if (record.held) return "refused"
    const mark = erasureMarkOf(jobId)
    if ((yield* house.retention.mark(mark, [jobId], "erased")) === 0) return yield* lookAgain(house, jobId)
    const [found] = yield* house.retention.read(mark)
    if (found === undefined) return "gone"
    const stone = yield* buryFor(house, found.record, hashOf(found.record))
    const { erasedAt: at, sha256 } = stone
    const tombstone = { at, why: "erased" as const, sha256: sha256 ?? hashOf(found.record), segmentId: null }
    yield* house.store.forgetTags([jobId])
    yield* house.retention.prune(mark, [{ jobId, tombstone }])
    return "erased"
  })

/** Nobody could mark it: it was held meanwhile, it has left, or it is on its way. */
const lookAgain = ({ records }: ErasingHouse, jobId: JobId) =>
  Effect.map(records.get(SCOPE, jobId), (record): LiveOutcome => {
    if (record === null) return "gone"
    return record.held ? "refused" : "waits"
  })

/** Where bodies of this namespace may stand, in order of their names. */
export const listSegments = ({ archive }: ErasingHouse, namespaceId: NamespaceId) =>
  Effect.map(Effect.catchTag(archive.settle, "BrokenSegment", stopFor), (all) =>
    all.filter((each) => each.namespaceId === namespaceId && WITH_BODIES.has(each.dataClass))
  )

const WITH_BODIES: ReadonlySet<SegmentManifest["dataClass"]> = new Set(["jobs", "bodies", "held"] as const)

/** What cannot be read cannot be erased from: the order stays open, and says so with each pass. */
const stopFor = ({ segmentId, why }: BrokenSegment) =>
  Effect.fail(new Outage({ of: "Archive", during: "erase", cause: new Error(`${segmentId} ${why}`) }))

type Line =
  | { readonly _tag: "Job"; readonly text: string; readonly record: JobRecord }
  | { readonly _tag: "Erased"; readonly text: string }

/** The fields that are looked at have the same form in JSON. */
const lineOf = (text: string): Line => {
  const value = JSON.parse(text) as { readonly record?: JobRecord }
  return value.record === undefined ? { _tag: "Erased", text } : { _tag: "Job", text, record: value.record }
}

export interface SegmentOutcome {
  readonly erased: number
  readonly refused: number
}

export const eraseFromSegment = (
  house: ErasingHouse,
  order: Erasure,
  manifest: SegmentManifest,
  isMeant: (record: JobRecord) => boolean
) =>
  Effect.gen(function* (): Effect.fn.Return<SegmentOutcome | "waits", Outage> {
    const { archive, retention } = house
    const texts = yield* Effect.catchTag(archive.lines(manifest.id), "BrokenSegment", stopFor)
    const lines = texts.map(lineOf)
    const meant = lines.flatMap((line) => (line._tag === "Job" && isMeant(line.record) ? [line.record] : []))
    if (meant.length === 0) return { erased: 0, refused: 0 }
    if (manifest.dataClass === "held") return { erased: 0, refused: meant.length }
    if ((yield* retention.retiring).some(({ segmentId }) => segmentId === manifest.id)) return "waits"
    const stones = new Map<JobId, ErasureStone>()
    for (const record of meant) stones.set(record.jobId, yield* buryFor(house, record, hashOf(record)))
    const { id: replaces, bytes: _b, sha256: _s, digest: _d, count: _c, compression: _z, ...about } = manifest
    const successor = {
      ...about,
      id: successorOf(replaces, [...stones.keys()]),
      replaces,
      recordVersion: RECORD_VERSION,
      createdAt: yield* Clock.currentTimeMillis,
      lines: lines.map((line) => textOf(line, stones))
    }
    yield* house.store.forgetTags([...stones.keys()])
    yield* Effect.catchTag(archive.replace(successor), "BrokenSegment", stopFor)
    return { erased: meant.length, refused: 0 }
  })

const textOf = (line: Line, stones: ReadonlyMap<JobId, ErasureStone>): string => {
  const stone = line._tag === "Job" ? stones.get(line.record.jobId) : undefined
  return stone === undefined ? line.text : canonicalJson({ erased: stone })
}
