/**
 * Cold storage of segments: plain gzip over NDJSON with a manifest beside it, readable without this program. A back end only keeps blobs by
 * name; what a segment is, and whether it is whole, is decided here once.
 */
import { createHash } from "node:crypto"
import { gunzipSync, gzipSync } from "node:zlib"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import { SegmentManifest, type SegmentId } from "../schemas/Archive.ts"
import { Outage } from "./Outage.ts"

export interface Driver {
  /** Afterwards the blob is durable under the name, all of it or nothing. The same name again replaces it. */
  readonly put: (name: string, bytes: Uint8Array) => Effect.Effect<void, Outage>
  readonly get: (name: string) => Effect.Effect<Uint8Array | null, Outage>
  /** Names that begin so, sorted. */
  readonly names: (prefix: string) => Effect.Effect<ReadonlyArray<string>, Outage>
}

/** A segment whose bytes are not what its manifest says. Nothing may be deleted on its strength. */
export class BrokenSegment extends Data.TaggedError("BrokenSegment")<{
  readonly segmentId: SegmentId
  readonly why: string
}> {}

export interface NewSegment extends Omit<SegmentManifest, "bytes" | "sha256" | "compression" | "count"> {
  /** JSON lines without line ends. */
  readonly lines: ReadonlyArray<string>
}

export class Archive extends Context.Service<
  Archive,
  {
    /** Writes blob, then manifest: a segment exists once its manifest does. The same segment again changes nothing. */
    readonly write: (segment: NewSegment) => Effect.Effect<SegmentManifest, Outage>
    /** Reads everything back and compares size, hash, line count and manifest. */
    readonly verify: (id: SegmentId) => Effect.Effect<SegmentManifest, BrokenSegment | Outage>
    readonly lines: (id: SegmentId) => Effect.Effect<ReadonlyArray<string>, BrokenSegment | Outage>
    readonly list: Effect.Effect<ReadonlyArray<SegmentManifest>, BrokenSegment | Outage>
    /** Whether it answers, by one question whose cost does not grow with what it holds. */
    readonly ping: Effect.Effect<void, Outage>
  }
>()("resultity/layers/Archive") {}

const blobName = (id: SegmentId) => `segments/${id}.ndjson.gz`
const manifestName = (id: SegmentId) => `segments/${id}.manifest.json`
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")
const decodeManifest = Schema.decodeUnknownEffect(Schema.fromJsonString(SegmentManifest))

/** gzip's header holds no time here, so equal lines give equal bytes. */
const pack = (lines: ReadonlyArray<string>) => gzipSync(Buffer.from(lines.map((line) => `${line}\n`).join("")))

const unpack = (id: SegmentId, bytes: Uint8Array) =>
  Effect.try({
    try: () => {
      const text = gunzipSync(bytes).toString("utf8")
      return text === "" ? [] : text.slice(0, -1).split("\n")
    },
    catch: (cause) => new BrokenSegment({ segmentId: id, why: `cannot be unpacked: ${String(cause)}` })
  })

export const make = (driver: Driver): Archive["Service"] => {
  const manifestOf = Effect.fnUntraced(function* (id: SegmentId) {
    const bytes = yield* driver.get(manifestName(id))
    if (bytes === null) return yield* new BrokenSegment({ segmentId: id, why: "has no manifest" })
    return yield* decodeManifest(Buffer.from(bytes).toString("utf8")).pipe(
      Effect.mapError(() => new BrokenSegment({ segmentId: id, why: "has an unreadable manifest" }))
    )
  })
  const checked = Effect.fnUntraced(function* (id: SegmentId) {
    const manifest = yield* manifestOf(id)
    const bytes = yield* driver.get(blobName(id))
    if (bytes === null) return yield* new BrokenSegment({ segmentId: id, why: "has no file" })
    const digest = sha256(bytes)
    if (digest !== manifest.sha256) {
      return yield* new BrokenSegment({ segmentId: id, why: `hashes to ${digest}, not ${manifest.sha256}` })
    }
    const lines = yield* unpack(id, bytes)
    if (lines.length !== manifest.count) {
      return yield* new BrokenSegment({ segmentId: id, why: `holds ${lines.length} lines, not ${manifest.count}` })
    }
    return { manifest, lines }
  })
  return Archive.of({
    write: Effect.fn("Archive.write")(function* ({ lines, ...about }: NewSegment) {
      // A whole segment holds all that its name stands for: who comes late, or to what a prune that broke off has left, must not replace it.
      const known = yield* Effect.option(checked(about.id))
      if (known._tag === "Some") return known.value.manifest
      const bytes = yield* Effect.sync(() => pack(lines))
      const manifest: SegmentManifest = {
        ...about,
        count: lines.length,
        compression: "gzip",
        bytes: bytes.byteLength,
        sha256: sha256(bytes)
      }
      yield* driver.put(blobName(about.id), bytes)
      yield* driver.put(manifestName(about.id), Buffer.from(`${canonicalJson(manifest)}\n`))
      return manifest
    }),
    verify: Effect.fn("Archive.verify")((id: SegmentId) => Effect.map(checked(id), ({ manifest }) => manifest)),
    lines: Effect.fn("Archive.lines")((id: SegmentId) => Effect.map(checked(id), ({ lines }) => lines)),
    list: Effect.gen(function* () {
      const names = yield* driver.names("segments/")
      const ids = names.flatMap((name) => /(seg_[0-9a-f]{32})\.manifest\.json$/.exec(name)?.[1] ?? [])
      return yield* Effect.forEach(ids, (id) => manifestOf(id as SegmentId))
    }),
    ping: Effect.asVoid(driver.get("segments/ping"))
  })
}

/** For back ends: a failure of theirs as an `Outage` of the archive. */
export const outage = (during: string) => (cause: unknown) => new Outage({ of: "Archive", during, cause })
