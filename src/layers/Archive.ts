/**
 * Cold storage of segments: plain gzip over NDJSON with a manifest beside it, readable without this program. A back end only keeps blobs by
 * name; what a segment is, and whether it is whole, is decided here once.
 */
import { createHash } from "node:crypto"
import { createGunzip, gunzipSync, gzipSync } from "node:zlib"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import { SegmentManifest, type SegmentId } from "../schemas/Archive.ts"
import { Outage } from "./Outage.ts"

export interface Driver {
  /** Afterwards the blob is durable under the name, all of it or nothing. The same name again replaces it. */
  readonly put: (name: string, bytes: Uint8Array) => Effect.Effect<void, Outage>
  readonly get: (name: string) => Effect.Effect<Uint8Array | null, Outage>
  /** Afterwards there is none of this name. Twice: no change. */
  readonly remove: (name: string) => Effect.Effect<void, Outage>
  /** Names that begin so, sorted. */
  readonly names: (prefix: string) => Effect.Effect<ReadonlyArray<string>, Outage>
}

/** A segment whose bytes are not what its manifest says. Nothing may be deleted on its strength. */
export class BrokenSegment extends Data.TaggedError("BrokenSegment")<{
  readonly segmentId: SegmentId
  readonly why: string
}> {}

export interface NewSegment extends Omit<SegmentManifest, "bytes" | "sha256" | "compression" | "count" | "digest"> {
  /** JSON lines without line ends. */
  readonly lines: ReadonlyArray<string>
}

export interface Survey {
  readonly segments: ReadonlyArray<SegmentManifest>
  readonly broken: ReadonlyArray<BrokenSegment>
}

export class Archive extends Context.Service<
  Archive,
  {
    /** False: no cold storage is configured; it is empty, and writing is an Outage. */
    readonly isThere: boolean
    /** Writes blob, then manifest: a segment exists once its manifest does. The same segment again changes nothing. */
    readonly write: (segment: NewSegment) => Effect.Effect<SegmentManifest, Outage>
    /** Reads everything back and compares size, hash, line count and manifest. */
    readonly verify: (id: SegmentId) => Effect.Effect<SegmentManifest, BrokenSegment | Outage>
    readonly lines: (id: SegmentId) => Effect.Effect<ReadonlyArray<string>, BrokenSegment | Outage>
    /**
     * Afterwards this segment stands, read back, and the one that it replaces does not. Whoever dies in between leaves both, and the same call again
     * goes on.
     */
    readonly replace: (
      segment: NewSegment & { readonly replaces: SegmentId }
    ) => Effect.Effect<SegmentManifest, BrokenSegment | Outage>
    /** What `list` gives, after the end of every replacement that broke off. */
    readonly settle: Effect.Effect<ReadonlyArray<SegmentManifest>, BrokenSegment | Outage>
    /** Without those that another one replaces. */
    readonly list: Effect.Effect<ReadonlyArray<SegmentManifest>, BrokenSegment | Outage>
    /** What `list` gives, of every manifest that can be read, and beside it those that cannot. */
    readonly survey: Effect.Effect<Survey, Outage>
    /** Whether it answers, by one question whose cost does not grow with what it holds. */
    readonly ping: Effect.Effect<void, Outage>
    /** Cold storage itself, for what is no segment: blocks of snapshots. Names under `segments/` are not for its users. */
    readonly blobs: Driver
  }
>()("resultity/layers/Archive") {}

export const blobName = (id: SegmentId) => `segments/${id}.ndjson.gz`
export const manifestName = (id: SegmentId) => `segments/${id}.manifest.json`
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")
const decodeManifest = Schema.decodeUnknownResult(SegmentManifest)
const isObject = Schema.is(Schema.Record(Schema.String, Schema.Json))

/** Of all fields but itself. */
const digestOf = (fields: Schema.JsonObject) =>
  sha256(Buffer.from(canonicalJson(Object.fromEntries(Object.entries(fields).filter(([name]) => name !== "digest")))))

/** Without a digest it is of an earlier program, which had no fields but these: what looks like another one is a digest whose name is broken. */
const vouches = (fields: Schema.JsonObject): boolean =>
  "digest" in fields
    ? fields["digest"] === digestOf(fields)
    : Object.keys(fields).every((name) => name in SegmentManifest.fields)

/** The fields of a manifest whose bytes are those that were written; otherwise what is wrong with it. A later program may have more of them. */
export const manifestFields = (bytes: Uint8Array): Result.Result<Schema.JsonObject, string> => {
  const text = Buffer.from(bytes).toString("utf8")
  const fields = Result.try(() => JSON.parse(text) as unknown)
  if (Result.isFailure(fields) || !isObject(fields.success)) return Result.fail("has an unreadable manifest")
  const { success } = fields
  const isAsWritten = text === `${canonicalJson(success)}\n` && vouches(success)
  return isAsWritten ? Result.succeed(success) : Result.fail("has a manifest that is not as it was written")
}

/** The manifest of this segment in these bytes; otherwise what is wrong with it. */
export const readManifest = (id: SegmentId, bytes: Uint8Array): Result.Result<SegmentManifest, string> =>
  Result.flatMap(manifestFields(bytes), (fields) => {
    const manifest = decodeManifest(fields)
    if (Result.isFailure(manifest)) return Result.fail("has an unreadable manifest")
    const { success } = manifest
    return success.id === id ? Result.succeed(success) : Result.fail(`has the manifest of ${success.id}`)
  })

/** What is wrong with a segment's file by what its manifest says of it, or null. */
export const faultOf = (manifest: SegmentManifest, bytes: Uint8Array): string | null => {
  const digest = sha256(bytes)
  if (digest === manifest.sha256) {
    return bytes.byteLength === manifest.bytes ? null : `has ${bytes.byteLength} bytes, not ${manifest.bytes}`
  }
  const size = bytes.byteLength === manifest.bytes ? "" : ` and has ${bytes.byteLength} bytes, not ${manifest.bytes}`
  return `hashes to ${digest}, not ${manifest.sha256}${size}`
}

/** Ids of which there is a manifest, or only a file, among these names; sorted. */
export const segmentIds = (names: ReadonlyArray<string>): ReadonlyArray<SegmentId> => [
  ...new Set(names.flatMap((name) => (SEGMENT_NAME.exec(name)?.[1] ?? []) as SegmentId | []))
]
const SEGMENT_NAME = /^segments\/(seg_[0-9a-f]{32})\.(?:manifest\.json|ndjson\.gz)$/

/** The lines of a file without their ends, one after the other: what is held is the file and one line. Throws when it cannot be unpacked. */
export async function* linesIn(bytes: Uint8Array): AsyncGenerator<Buffer> {
  let rest: ReadonlyArray<Buffer> = []
  for await (const chunk of unpacking(bytes)) {
    let from = 0
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      yield Buffer.concat([...rest, chunk.subarray(from, end)])
      rest = []
      from = end + 1
    }
    if (from < chunk.length) rest = [...rest, chunk.subarray(from)]
  }
  if (rest.length > 0) yield Buffer.concat(rest)
}

/** What the file holds, a piece at a time. */
export const unpacking = (bytes: Uint8Array): AsyncIterable<Buffer> => {
  const gunzip = createGunzip({ chunkSize: 65_536 })
  gunzip.end(bytes)
  return gunzip
}

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

/** What stands there, as its manifests and their files say. */
const makeReading = (driver: Driver) => {
  const manifestOf = Effect.fnUntraced(function* (id: SegmentId) {
    const bytes = yield* driver.get(manifestName(id))
    if (bytes === null) return yield* new BrokenSegment({ segmentId: id, why: "has no manifest" })
    const manifest = readManifest(id, bytes)
    if (Result.isFailure(manifest)) return yield* new BrokenSegment({ segmentId: id, why: manifest.failure })
    return manifest.success
  })
  const checked = Effect.fnUntraced(function* (id: SegmentId) {
    const manifest = yield* manifestOf(id)
    const bytes = yield* driver.get(blobName(id))
    if (bytes === null) return yield* new BrokenSegment({ segmentId: id, why: "has no file" })
    const why = faultOf(manifest, bytes)
    if (why !== null) return yield* new BrokenSegment({ segmentId: id, why })
    const lines = yield* unpack(id, bytes)
    if (lines.length !== manifest.count) {
      return yield* new BrokenSegment({ segmentId: id, why: `holds ${lines.length} lines, not ${manifest.count}` })
    }
    return { manifest, lines }
  })
  const surveyed = Effect.gen(function* () {
    const names = yield* driver.names("segments/")
    const ids = segmentIds(names.filter((name) => name.endsWith(".manifest.json")))
    const broken: Array<BrokenSegment> = []
    const noted = (one: BrokenSegment) => Effect.sync(() => void broken.push(one))
    const found = (yield* Effect.forEach(ids, (id) => Effect.catchTag(manifestOf(id), "BrokenSegment", noted))).flatMap(
      (manifest) => manifest ?? []
    )
    const replaced = new Set(found.flatMap(({ replaces }) => replaces ?? []))
    const current = found.filter(({ id }) => !replaced.has(id))
    return { current, left: segmentIds(names).filter((id) => replaced.has(id)), broken }
  })
  const listed = Effect.flatMap(surveyed, (all) => {
    const [first] = all.broken
    return first === undefined ? Effect.succeed(all) : Effect.fail(first)
  })
  return { checked, listed, surveyed }
}

export const make = (driver: Driver): Archive["Service"] => {
  const { checked, listed, surveyed } = makeReading(driver)
  const write = Effect.fn("Archive.write")(function* ({ lines, ...about }: NewSegment) {
    // A whole segment holds all that its name stands for: who comes late, or to what a prune that broke off has left, must not replace it.
    const known = yield* Effect.option(checked(about.id))
    if (known._tag === "Some") return known.value.manifest
    const bytes = yield* Effect.sync(() => pack(lines))
    const fields = {
      ...about,
      count: lines.length,
      compression: "gzip" as const,
      bytes: bytes.byteLength,
      sha256: sha256(bytes)
    }
    const manifest: SegmentManifest = { ...fields, digest: digestOf(fields) }
    yield* driver.put(blobName(about.id), bytes)
    yield* driver.put(manifestName(about.id), Buffer.from(`${canonicalJson(manifest)}\n`))
    return manifest
  })
  /** The file first: what is left of a break is a manifest that names it, and not text that nothing names. */
  const remove = (id: SegmentId) => Effect.andThen(driver.remove(blobName(id)), driver.remove(manifestName(id)))
  return Archive.of({
    isThere: true,
    write,
    replace: Effect.fn("Archive.replace")(function* (segment) {
      yield* write(segment)
      const { manifest } = yield* checked(segment.id)
      yield* remove(segment.replaces)
      return manifest
    }),
    settle: Effect.gen(function* () {
      const { current, left } = yield* listed
      for (const { id, replaces } of current) {
        if (replaces === undefined || !left.includes(replaces)) continue
        yield* checked(id)
        yield* remove(replaces)
      }
      return current
    }),
    verify: Effect.fn("Archive.verify")((id: SegmentId) => Effect.map(checked(id), ({ manifest }) => manifest)),
    lines: Effect.fn("Archive.lines")((id: SegmentId) => Effect.map(checked(id), ({ lines }) => lines)),
    list: Effect.map(listed, ({ current }) => current),
    survey: Effect.map(surveyed, ({ current, broken }) => ({ segments: current, broken })),
    ping: Effect.asVoid(driver.get("segments/ping")),
    blobs: driver
  })
}

const nowhere = new Outage({ of: "Archive", during: "write", cause: new Error("no cold storage is configured") })

/** Where an operator wants no cold storage. */
export const none: Archive["Service"] = Archive.of({
  isThere: false,
  write: () => Effect.fail(nowhere),
  replace: () => Effect.fail(nowhere),
  verify: (segmentId) => Effect.fail(new BrokenSegment({ segmentId, why: "has no manifest" })),
  lines: (segmentId) => Effect.fail(new BrokenSegment({ segmentId, why: "has no manifest" })),
  settle: Effect.succeed([]),
  list: Effect.succeed([]),
  survey: Effect.succeed({ segments: [], broken: [] }),
  ping: Effect.void,
  blobs: {
    put: () => Effect.fail(nowhere),
    remove: () => Effect.fail(nowhere),
    get: () => Effect.succeed(null),
    names: () => Effect.succeed([])
  }
})

/** For back ends: a failure of theirs as an `Outage` of the archive. */
export const outage = (during: string) => (cause: unknown) => new Outage({ of: "Archive", during, cause })
