/**
 * Segments of a place, one after the other: read ahead a little, held a few at a time, each with its manifest and known to be the bytes that
 * were written. One that is broken, or of a later program, is an answer like the others: a run goes on past it and tells.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { isOfOneBlob, type Place, said } from "../../ArchivePlaces.ts"
import * as Archive from "../../layers/Archive.ts"
import type { Outage } from "../../layers/Outage.ts"
import { DataClass, NEWEST_VERSION, SegmentId, type SegmentManifest } from "../../schemas/Archive.ts"
import { type CliFailed, usage } from "../CliFailed.ts"
import type { Input } from "../Command.ts"
import { out } from "./Place.ts"

/** Written by a later program: nothing is said about whether it is whole. */
export class LaterSegment extends Data.TaggedError("LaterSegment")<{
  readonly segmentId: SegmentId
  readonly why: string
}> {}

/** Named, and neither its manifest nor its file is there. */
export class MissingSegment extends Data.TaggedError("MissingSegment")<{
  readonly segmentId: SegmentId
  readonly why: string
}> {}

export type Faulty = Archive.BrokenSegment | LaterSegment | MissingSegment

export interface Loaded {
  readonly _tag: "Loaded"
  readonly id: SegmentId
  readonly manifest: SegmentManifest
  readonly manifestBytes: Uint8Array
  /** The compressed file. */
  readonly bytes: Uint8Array
}

/** Segments that are fetched while one is looked at. */
const AHEAD = 2

/** What a run tells of and goes on past. */
export const FAULTY = ["BrokenSegment", "LaterSegment", "MissingSegment"] as const

const isSegmentId = Schema.is(SegmentId)

/** Those that were named, or all of the place. */
export const idsOf = Effect.fnUntraced(function* (input: Input, place: Place) {
  const strange = input.args.find((arg) => !isSegmentId(arg))
  if (strange !== undefined) {
    return yield* usage(`${JSON.stringify(strange)} is no segment's name: seg_ and 32 hexadecimal digits`)
  }
  return input.args.length > 0 ? [...new Set(input.args.filter(isSegmentId))] : yield* allIds(place)
})

/** Also a file without a manifest has a name here, and is broken. */
export const allIds = (place: Place): Effect.Effect<ReadonlyArray<SegmentId>, CliFailed> =>
  place.driver.names("segments/").pipe(Effect.map(Archive.segmentIds), Effect.mapError(out(place)))

export const loading = (place: Place, ids: ReadonlyArray<SegmentId>): Stream.Stream<Loaded | Faulty, CliFailed> =>
  Stream.fromIterable(ids).pipe(
    Stream.rechunk(1),
    Stream.mapEffect((id) => Effect.catchTag(load(place, id), FAULTY, (faulty) => Effect.succeed(faulty)), {
      concurrency: AHEAD
    })
  )

/** Afterwards size and hash are those of the manifest, and the manifest is as it was written. */
export const load = Effect.fnUntraced(function* (place: Place, id: SegmentId) {
  const { manifest, manifestBytes } = yield* loadManifest(place, id)
  const bytes = yield* blob(place, id, Archive.blobName(id))
  if (bytes === null) return yield* new Archive.BrokenSegment({ segmentId: id, why: "has no file" })
  const why = Archive.faultOf(manifest, bytes)
  if (why !== null) return yield* new Archive.BrokenSegment({ segmentId: id, why })
  return { _tag: "Loaded", id, manifest, manifestBytes, bytes } satisfies Loaded
})

export const loadManifest = Effect.fnUntraced(function* (place: Place, id: SegmentId) {
  const bytes = yield* blob(place, id, Archive.manifestName(id))
  const broken = (why: string) => new Archive.BrokenSegment({ segmentId: id, why })
  if (bytes === null) {
    const file = yield* blob(place, id, Archive.blobName(id))
    if (file !== null) return yield* broken("has no manifest")
    return yield* new MissingSegment({ segmentId: id, why: `is not in ${place.name}` })
  }
  const fields = Archive.manifestFields(bytes)
  const later = Result.isSuccess(fields) ? laterIn(fields.success) : null
  if (later !== null) return yield* new LaterSegment({ segmentId: id, why: `is of ${later}` })
  const manifest = Archive.readManifest(id, bytes)
  if (Result.isFailure(manifest)) return yield* broken(manifest.failure)
  return { manifest: manifest.success, manifestBytes: bytes }
})

const isDataClass = Schema.is(DataClass)

/** Before anything else of a manifest is read: what a later program wrote may look like something broken. */
const laterIn = ({ dataClass, recordVersion }: Readonly<Record<string, unknown>>): string | null =>
  typeof recordVersion === "number" ? laterVersion(recordVersion, isDataClass(dataClass) ? dataClass : "jobs") : null

/** null: this program knows it. */
export const laterVersion = (version: number, dataClass: DataClass): string | null => {
  const known = NEWEST_VERSION[dataClass]
  if (version <= known) return null
  return `record version ${version}, and this program knows them up to ${known}: use a newer one`
}

/** A blob that its disk or its server will not give is that segment's matter; a server that is away is everybody's. */
const blob = (place: Place, id: SegmentId, name: string) =>
  place.driver
    .get(name)
    .pipe(
      Effect.mapError((outage: Outage) =>
        isOfOneBlob(outage)
          ? new Archive.BrokenSegment({ segmentId: id, why: `cannot be read: ${said(outage)}` })
          : out(place)(outage)
      )
    )
