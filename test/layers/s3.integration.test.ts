/** The archive's suite on an S3 server, and what only a server can do: refuse keys, miss a bucket, lose a connection. */
import { randomBytes } from "node:crypto"
import { afterAll, assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Redacted } from "effect"
import { describe } from "vitest"
import { Archive } from "../../src/layers/Archive.ts"
import { driver, layer, S3Misused, type S3Config } from "../../src/layers/s3/S3Archive.ts"
import { make as makeClient } from "../../src/layers/s3/S3Client.ts"
import { archiveContract } from "./contracts/Archive.contract.ts"
import { openCrossing } from "./s3/Crossing.ts"
import { openShell } from "./s3/S3Shell.ts"

const S3_URL = process.env["S3_URL"]
const WHAT = "the archive on an S3 server"

const suites = async (url: string) => {
  const crossing = await openCrossing(url)
  const bucket = `resultity-test-${randomBytes(6).toString("hex")}`
  const [accessKey, secretKey] = [process.env["S3_ACCESS_KEY"] ?? "", process.env["S3_SECRET_KEY"] ?? ""]
  const shell = openShell({ url, bucket, accessKey, secretKey })
  afterAll(async () => {
    shell.drop()
    await Promise.all([shell.close(), crossing.close()])
  })

  const config: S3Config = {
    url: crossing.url,
    bucket,
    region: "us-east-1",
    accessKey,
    secretKey: Redacted.make(secretKey),
    prefix: "cold/store",
    createBucket: true
  }
  const keyOf = (name: string) => `${config.prefix}/${name}`

  archiveContract("S3", layer(config), {
    read: (name) => shell.read(keyOf(name)),
    write: (name, bytes) => shell.write(keyOf(name), bytes),
    remove: (name) => shell.remove(keyOf(name)),
    refusing: (name, body) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          crossing.harm = (method, path) =>
            method === "PUT" && path.endsWith(name) ? { _tag: "Answer", status: 403, body: "" } : null
        }),
        () => body,
        () => Effect.sync(() => void (crossing.harm = () => null))
      )
  })

  /** Builds the archive anew; why it would not. */
  const objection = (changes: Partial<S3Config>) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.provide(Archive, layer({ ...config, ...changes }), { local: true }))
      if (Exit.isSuccess(exit)) return null
      assert.notInclude(Cause.pretty(exit.cause), secretKey)
      const failure = exit.cause.reasons.find(Cause.isFailReason)?.error
      assert.instanceOf(failure, S3Misused)
      return failure.message
    })

  describe("an S3 archive", () => {
    it.effect("does not start with a wrong key or a wrong secret, and names the variables", () =>
      Effect.gen(function* () {
        const wrong = Redacted.make("not the secret at all")
        assert.match((yield* objection({ secretKey: wrong }))!, /refuses the keys \(S3_ACCESS_KEY, S3_SECRET_KEY\)/)
        assert.match((yield* objection({ accessKey: "nobody" }))!, /refuses the keys \(S3_ACCESS_KEY, S3_SECRET_KEY\)/)
      })
    )

    it.effect("does not start without its bucket, and makes it only when told", () =>
      Effect.gen(function* () {
        const missing = { bucket: `${bucket}-2`, createBucket: false }
        const second = openShell({ url, bucket: missing.bucket, accessKey, secretKey })
        yield* Effect.addFinalizer(() =>
          Effect.promise(async () => {
            second.drop()
            await second.close()
          })
        )
        assert.match((yield* objection(missing))!, /there is no bucket "resultity-test-.*-2" at http.*S3_BUCKET/)

        assert.isNull(yield* objection({ ...missing, createBucket: true }))
        assert.isNull(yield* objection({ ...missing, createBucket: true }))
        assert.isNull(yield* objection(missing))
      })
    )

    it.effect("tells of a bucket that is gone as an outage, not as a blob that was never written", () =>
      Effect.gen(function* () {
        const { get, put, names } = driver(makeClient({ ...config, bucket: `${bucket}-3` }))
        for (const call of [get("a"), put("a", Uint8Array.of(1)), names("")]) {
          const { cause } = yield* Effect.flip(Effect.asVoid(call as Effect.Effect<unknown, { cause: unknown }>))
          assert.match(String((cause as Error).message), /there is no bucket/)
        }
        assert.isNull(yield* driver(makeClient(config)).get("never/written"))
      })
    )

    it.live("goes on when the connection is cut before a request and in the middle of an answer", () =>
      Effect.gen(function* () {
        const { get, put } = driver(makeClient(config))
        const bytes = Uint8Array.from({ length: 200_000 }, (_, index) => index % 251)
        const harms = [{ _tag: "Cut" }, { _tag: "CutAnswer" }] as const
        for (const harm of harms) {
          let left = 2
          crossing.harm = () => (left-- > 0 ? harm : null)
          yield* put(`cut/${harm._tag.toLowerCase()}`, bytes)
          left = 2
          assert.deepStrictEqual(yield* get(`cut/${harm._tag.toLowerCase()}`), bytes)
        }
      })
    )

    it.effect("reads back what the server does not confirm", () =>
      Effect.gen(function* () {
        const { put } = driver(makeClient(config))
        crossing.harm = () => ({ _tag: "Strip", headers: ["etag", "x-amz-checksum-sha256"] })
        crossing.seen.length = 0
        yield* put("quiet/one", Uint8Array.of(1, 2, 3))
        assert.deepStrictEqual(
          crossing.seen.map((line) => line.split(" ")[0]),
          ["PUT", "GET"]
        )
        crossing.harm = () => null
        crossing.seen.length = 0
        yield* put("quiet/two", Uint8Array.of(1, 2, 3))
        assert.lengthOf(crossing.seen, 1)
      })
    )

    it.effect("lists names over several pages, and none of other folders", () =>
      Effect.gen(function* () {
        const archive = driver(makeClient({ ...config, prefix: "pages" }))
        yield* driver(makeClient({ ...config, prefix: "pagesother" })).put("many/foreign", Uint8Array.of(0))
        const names = Array.from({ length: 1003 }, (_, index) => `many/n${String(index).padStart(5, "0")}`)
        yield* Effect.forEach(names, (name) => archive.put(name, Uint8Array.of(1)), { concurrency: 8, discard: true })
        yield* archive.put("few/one", Uint8Array.of(1))

        assert.deepStrictEqual(yield* archive.names("many/"), names)
        assert.deepStrictEqual(yield* archive.names("few"), ["few/one"])
        assert.lengthOf(yield* archive.names(""), names.length + 1)
      })
    )
  })
}

if (S3_URL !== undefined) await suites(S3_URL)
else {
  console.warn(`skipped: ${WHAT}; set S3_URL, S3_ACCESS_KEY and S3_SECRET_KEY to an S3 server`)
  // Not the suites themselves, which would count as covered.
  describe.skip(WHAT, () => it("needs a server", () => {}))
}
