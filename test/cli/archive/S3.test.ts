/** The same commands over a bucket, when there is a server: `S3_URL`, as everywhere. */
import { randomBytes } from "node:crypto"
import { assert, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { afterAll, describe } from "vitest"
import * as S3Archive from "../../../src/layers/s3/S3Archive.ts"
import { make as makeClient } from "../../../src/layers/s3/S3Client.ts"
import { openShell } from "../../layers/s3/S3Shell.ts"
import { call } from "../FakeControl.ts"
import { aSegment, everythingIn, folderOf, freshFolder, textOf, write } from "./Places.ts"

const S3_URL = process.env["S3_URL"] ?? ""
const WHAT = "archive --from s3://"

const suite = () => {
  const bucket = `resultity-test-${randomBytes(6).toString("hex")}`
  const [accessKey, secretKey] = [process.env["S3_ACCESS_KEY"] ?? "", process.env["S3_SECRET_KEY"] ?? ""]
  const config = { url: S3_URL, bucket, region: "us-east-1", accessKey, secretKey: Redacted.make(secretKey) }
  const shell = openShell({ url: S3_URL, bucket, accessKey, secretKey })
  afterAll(async () => {
    shell.drop()
    await shell.close()
  })
  const env = { S3_URL, S3_BUCKET: bucket, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey }
  const archive = (...words: ReadonlyArray<string>) => call(["archive", ...words], env)

  it.live("lists, verifies, shows and restores, by the daemon's own variables and by another prefix", () =>
    Effect.gen(function* () {
      const segments = [aSegment(3), aSegment(2)]
      const own = { ...config, prefix: "resultity", createBucket: true }
      yield* Effect.scoped(Effect.asVoid(Effect.provide(Effect.void, S3Archive.layer(own))))
      yield* write(S3Archive.driver(makeClient(own)), segments)
      assert.lengthOf(JSON.parse((yield* archive("list", "--from", "s3://", "--json")).out).data, 2)
      assert.match((yield* archive("verify", "--from", "s3://")).out, /^2 segments are whole: 5 lines/)
      const there = `s3://${bucket}/resultity`
      assert.strictEqual((yield* archive("cat", "--all", "--from", there)).out, textOf(...segments))
      const into = freshFolder()
      assert.strictEqual((yield* archive("restore", "--from", there, "--into", into)).exit, 0)
      assert.deepStrictEqual(everythingIn(into), everythingIn(yield* folderOf(...segments)))
      const copy = `s3://${bucket}/copies/one`
      assert.match((yield* archive("restore", "--from", into, "--into", copy)).out, /^2 segments restored/)
      assert.match((yield* archive("restore", "--from", into, "--into", copy)).out, /2 were there already/)
      const name = `resultity/segments/${segments[0]!.id}.ndjson.gz`
      shell.write(
        name,
        Uint8Array.from(shell.read(name)!, (byte, at) => (at === 30 ? byte ^ 1 : byte))
      )
      const broken = yield* archive("verify", "--from", there)
      assert.strictEqual(broken.exit, 1)
      assert.match(broken.out, new RegExp(`^${segments[0]!.id} hashes to `))
      assert.match((yield* archive("verify", "--from", copy)).out, /^2 segments are whole/)
    })
  )

  it.live("says in one line that the keys are wrong, or the bucket is not there", () =>
    Effect.gen(function* () {
      const wrong = yield* call(["archive", "list", "--from", "s3://"], { ...env, S3_SECRET_KEY: "not the secret" })
      assert.deepStrictEqual([wrong.exit, wrong.out], [1, ""])
      assert.match(wrong.err, /^no_archive: --from: .* refuses the keys \(S3_ACCESS_KEY, S3_SECRET_KEY\).*\n$/)
      const absent = yield* archive("list", "--from", `s3://${bucket}-no/x`)
      assert.match(absent.err, /^no_archive: --from: there is no bucket/)
    })
  )
}

if (S3_URL === "") {
  console.warn(`skipped: ${WHAT}; set S3_URL, S3_ACCESS_KEY and S3_SECRET_KEY to an S3 server`)
  describe.skip(WHAT, () => it("needs a server", () => {}))
} else describe(WHAT, suite)
