/** What every Archive must do: one segment a batch however often it is written, and no damage that `verify` does not find. */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import { Archive, type NewSegment } from "../../../src/layers/Archive.ts"
import { canonicalJson } from "../../../src/schemas/CanonicalJson.ts"
import { RECORD_VERSION } from "../../../src/schemas/JobRecord.ts"
import { freshNamespace, freshSegment } from "../../support/recordFactories.ts"

/** The blobs behind the archive's back, as a bad disk or a curious hand reaches them. */
export interface ArchiveCapabilities {
  readonly read: (name: string) => Uint8Array | null
  readonly write: (name: string, bytes: Uint8Array) => void
  readonly remove: (name: string) => void
  /** Runs the effect while the store takes no blob of this name, which it does not hold yet. */
  readonly refusing: <A, E, R>(name: string, body: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

const aSegment = (lines: ReadonlyArray<string> = ['{"a":1}', '{"b":"é\\u0000"}']): NewSegment => ({
  id: freshSegment(),
  dataClass: "jobs",
  namespaceId: freshNamespace(),
  recordVersion: RECORD_VERSION,
  from: 1,
  to: 2,
  createdAt: 3,
  lines
})

const blobOf = ({ id }: NewSegment) => `segments/${id}.ndjson.gz`
const manifestOf = ({ id }: NewSegment) => `segments/${id}.manifest.json`
const written = Effect.tap(Effect.sync(aSegment), (segment) =>
  Effect.flatMap(Archive, (archive) => archive.write(segment))
)
const why = (segment: NewSegment) =>
  Effect.gen(function* () {
    const failure = yield* Effect.flip((yield* Archive).verify(segment.id))
    const lines = yield* Effect.flip((yield* Archive).lines(segment.id))
    assert.deepStrictEqual([failure._tag, lines._tag], ["BrokenSegment", "BrokenSegment"])
    return failure._tag === "BrokenSegment" ? failure.why : failure._tag
  })

export const archiveContract = (
  backEnd: string,
  layer: Layer.Layer<Archive, unknown>,
  { read, write, remove, refusing }: ArchiveCapabilities
) =>
  it.layer(layer)(`Archive on ${backEnd}`, (it) => {
    it.effect("gives the lines back as they were written, and lists the segment", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const segment = aSegment()

        const manifest = yield* archive.write(segment)

        assert.deepStrictEqual(yield* archive.lines(segment.id), segment.lines)
        assert.deepStrictEqual(yield* archive.verify(segment.id), manifest)
        assert.deepInclude(yield* archive.list, manifest)
        yield* archive.ping
      })
    )

    it.effect("keeps a segment without lines", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const segment = aSegment([])
        yield* archive.write(segment)
        assert.deepStrictEqual(yield* archive.lines(segment.id), [])
      })
    )

    it.effect.prop("brings any lines back", { values: Schema.Array(Schema.Json) }, ({ values }) =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const segment = aSegment(values.map(canonicalJson))
        yield* archive.write(segment)
        assert.deepStrictEqual(yield* archive.lines(segment.id), segment.lines)
      })
    )

    it.effect("makes one segment with equal bytes when it is written twice", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const segment = aSegment()
        const first = yield* archive.write(segment)
        const bytes = [read(blobOf(segment)), read(manifestOf(segment))]

        const second = yield* archive.write(segment)

        assert.deepStrictEqual(second, first)
        assert.deepStrictEqual([read(blobOf(segment)), read(manifestOf(segment))], bytes)
        assert.lengthOf(
          (yield* archive.list).filter(({ id }) => id === segment.id),
          1
        )
      })
    )

    it.effect("finds any one flipped byte of the file", () =>
      Effect.gen(function* () {
        const segment = yield* written
        const whole = read(blobOf(segment))!
        for (const index of whole.keys()) {
          write(
            blobOf(segment),
            Uint8Array.from(whole, (byte, at) => (at === index ? byte ^ 1 : byte))
          )
          assert.match(yield* why(segment), /hashes to/)
        }
      })
    )

    it.effect("finds a truncated and a missing file", () =>
      Effect.gen(function* () {
        const segment = yield* written
        write(blobOf(segment), read(blobOf(segment))!.slice(0, -1))
        assert.match(yield* why(segment), /hashes to/)
        remove(blobOf(segment))
        assert.match(yield* why(segment), /has no file/)
      })
    )

    it.effect("finds a manifest that counts wrong", () =>
      Effect.gen(function* () {
        const segment = yield* written
        const { digest, ...others } = JSON.parse(Buffer.from(read(manifestOf(segment))!).toString())
        assert.match(digest, /^[0-9a-f]{64}$/)
        write(manifestOf(segment), Buffer.from(`${canonicalJson({ ...others, count: 3 })}\n`))
        assert.match(yield* why(segment), /holds 2 lines, not 3/)
      })
    )

    it.effect("finds any one flipped byte of the manifest", () =>
      Effect.gen(function* () {
        const segment = yield* written
        const whole = read(manifestOf(segment))!
        for (const index of whole.keys()) {
          write(
            manifestOf(segment),
            Uint8Array.from(whole, (byte, at) => (at === index ? byte ^ 1 : byte))
          )
          assert.match(yield* why(segment), /manifest/)
        }
        write(manifestOf(segment), whole)
      })
    )

    it.effect("is surveyed past a manifest that cannot be read, which a list stops at", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const [segment, other] = [yield* written, yield* written]
        const whole = read(manifestOf(segment))!
        write(manifestOf(segment), whole.slice(1))
        const { segments, broken } = yield* archive.survey
        assert.deepStrictEqual(
          broken.map(({ segmentId }) => segmentId),
          [segment.id]
        )
        const ids = new Set(segments.map(({ id }) => id))
        assert.deepStrictEqual([ids.has(segment.id), ids.has(other.id)], [false, true])
        assert.deepInclude(yield* Effect.flip(archive.list), { segmentId: segment.id })
        write(manifestOf(segment), whole)
        assert.deepStrictEqual((yield* archive.survey).segments, yield* archive.list)
      })
    )

    it.effect("takes a manifest without a digest, as earlier programs wrote it, and none of another segment", () =>
      Effect.gen(function* () {
        const segment = yield* written
        const { digest: _, ...others } = JSON.parse(Buffer.from(read(manifestOf(segment))!).toString())
        write(manifestOf(segment), Buffer.from(`${canonicalJson(others)}\n`))
        assert.deepStrictEqual(yield* (yield* Archive).verify(segment.id), others)
        write(manifestOf(segment), read(manifestOf(yield* written))!)
        assert.match(yield* why(segment), /has the manifest of seg_/)
        remove(manifestOf(segment))
      })
    )

    it.effect("finds a missing and an unreadable manifest, and knows no segment that was never written", () =>
      Effect.gen(function* () {
        const segment = yield* written
        write(manifestOf(segment), Buffer.from("{"))
        assert.match(yield* why(segment), /unreadable manifest/)
        remove(manifestOf(segment))
        assert.match(yield* why(segment), /no manifest/)
        assert.match(yield* why(aSegment()), /no manifest/)
      })
    )

    it.effect("puts one segment in the place of another, and takes the other one away", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const first = yield* written
        const segment = { ...aSegment(['{"a":1}']), replaces: first.id }

        const manifest = yield* archive.replace(segment)

        assert.deepStrictEqual(yield* archive.verify(segment.id), manifest)
        assert.deepStrictEqual([read(blobOf(first)), read(manifestOf(first))], [null, null])
        assert.deepStrictEqual(yield* archive.replace(segment), manifest)
        assert.notInclude(
          (yield* archive.list).map(({ id }) => id),
          first.id
        )
      })
    )

    it.effect("ends a replacement that broke off, and takes nothing away on the strength of a broken segment", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const first = yield* written
        const segment = { ...aSegment(['{"a":1}']), replaces: first.id }
        yield* archive.write(segment)
        const ids = new Set((yield* archive.list).map(({ id }) => id))
        assert.deepStrictEqual([ids.has(segment.id), ids.has(first.id)], [true, false])
        const whole = read(blobOf(segment))!
        write(blobOf(segment), whole.slice(0, -1))
        assert.strictEqual((yield* Effect.flip(archive.settle))._tag, "BrokenSegment")
        assert.isNotNull(read(blobOf(first)))
        write(blobOf(segment), whole)
        // It died after the file and before the manifest.
        remove(blobOf(first))

        assert.include(
          (yield* archive.settle).map(({ id }) => id),
          segment.id
        )
        assert.deepStrictEqual([read(blobOf(first)), read(manifestOf(first))], [null, null])
        yield* archive.settle
      })
    )

    it.effect("has no segment when it dies between file and manifest, and one when it is written again", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const segment = aSegment()

        const failure = yield* refusing(manifestOf(segment), Effect.flip(archive.write(segment)))

        assert.deepStrictEqual([failure._tag, failure.of], ["Outage", "Archive"])
        assert.isNotNull(read(blobOf(segment)))
        assert.match(yield* why(segment), /no manifest/)
        assert.notInclude(
          (yield* archive.list).map(({ id }) => id),
          segment.id
        )
        yield* archive.write(segment)
        assert.deepStrictEqual(yield* archive.lines(segment.id), segment.lines)
      })
    )
  })
