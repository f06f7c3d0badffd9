/** What the doctor says of a real S3 server: with a bucket, without one, with wrong keys; and that it leaves nothing in it. */
import { randomBytes } from "node:crypto"
import { createServer } from "node:http"
import { once } from "node:events"
import { Effect, Redacted } from "effect"
import { afterAll, assert, describe, it, onTestFinished } from "vitest"
import * as S3Archive from "../../../src/layers/s3/S3Archive.ts"
import { make as makeClient } from "../../../src/layers/s3/S3Client.ts"
import { diagnose } from "../../../src/layers/s3/S3Diagnosis.ts"
import { complaints, examine, findingOf } from "../../support/Findings.ts"
import { openShell } from "./S3Shell.ts"

const S3_URL = process.env["S3_URL"] ?? ""
const WHAT = "the diagnosis of S3"
const [accessKey, secretKey] = [process.env["S3_ACCESS_KEY"] ?? "", process.env["S3_SECRET_KEY"] ?? ""]
const bucket = `resultity-test-${randomBytes(6).toString("hex")}`
const here = {
  url: S3_URL,
  bucket,
  region: "us-east-1",
  accessKey,
  secretKey: Redacted.make(secretKey),
  prefix: "cold"
}

if (S3_URL === "") {
  console.warn(`skipped: ${WHAT}; set S3_URL, S3_ACCESS_KEY and S3_SECRET_KEY to an S3 server`)
  describe.skip(WHAT, () => it("needs a server", () => undefined))
} else {
  describe(WHAT, () => {
    const shell = openShell({ url: S3_URL, bucket, accessKey, secretKey })
    afterAll(async () => {
      shell.drop()
      await shell.close()
    })

    it("asks for the bucket while it is not there, then complains of nothing and leaves nothing", async () => {
      const finding = findingOf(await examine(diagnose(here)), "bucket")
      assert.deepStrictEqual([finding.level, finding.said], ["bad", "it answers 404 NoSuchBucket"])
      const options = { ...here, createBucket: true }
      await Effect.runPromise(Effect.scoped(Effect.asVoid(layered(options))))
      assert.deepStrictEqual(complaints(await examine(diagnose(here))), [])
      assert.deepStrictEqual(await Effect.runPromise(S3Archive.driver(makeClient(here)).names("")), [])
    })

    it("says that the keys are wrong, and not which", async () => {
      const findings = await examine(diagnose({ ...here, secretKey: Redacted.make("wrong-horse-wrong-horse") }))
      const finding = findingOf(findings, "bucket")
      assert.strictEqual(finding.level, "bad")
      assert.match(finding.todo ?? "", /S3_ACCESS_KEY/)
      assert.notInclude(JSON.stringify(findings), "wrong-horse")
    })
  })
}

const layered = (options: S3Archive.S3Config) => Effect.provide(Effect.void, S3Archive.layer(options))

describe("the diagnosis of an S3 server", () => {
  it("that is none, or has another time, says so", async () => {
    const server = createServer((_request, response) => {
      response.setHeader("date", new Date(Date.now() - 3_600_000).toUTCString())
      response.end("<html>a console</html>")
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    onTestFinished(() => void server.close())
    const { port } = server.address() as { readonly port: number }
    const findings = await examine(diagnose({ ...here, url: `http://127.0.0.1:${port}` }))
    assert.strictEqual(findingOf(findings, "clock").level, "bad")
    assert.match(findingOf(findings, "clock").said, /^3[56]\d\d\.\d s behind/)
    assert.match(findingOf(findings, "bucket").todo ?? "", /no S3 server/)
  })

  it("that is away is one bad finding", async () => {
    const findings = await examine(diagnose({ ...here, url: "http://127.0.0.1:2" }))
    assert.deepStrictEqual(
      findings.map(({ what, level }) => `${level} ${what}`),
      ["bad reachable"]
    )
  })
})
