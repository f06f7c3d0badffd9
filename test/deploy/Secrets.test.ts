/** What `npm run up` starts with: secrets of one's own or nothing, and a first key that works. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync, statSync } from "node:fs"
import { createServer, request } from "node:http"
import { join } from "node:path"
import { parseEnv } from "node:util"
import { onTestFinished } from "vitest"
import { complaints, fill, SECRETS } from "../../scripts/secrets.ts"
import { trialKey } from "../../scripts/trial.ts"
import { ask, startDaemon } from "../support/Daemon.ts"
import { ROOT, temporaryFolder } from "../support/Process.ts"

const example = readFileSync(join(ROOT, ".env.example"), "utf8")

describe("the secrets of a cluster", () => {
  it("are none in the example, and nothing starts with it", () => {
    assert.deepStrictEqual(
      complaints(parseEnv(example)),
      SECRETS.map((name) => `${name} is empty`)
    )
  })

  it("are made at random, each its own, and leave the rest of the example as it is", () => {
    const [one, other] = [fill(example), fill(example)]
    assert.deepStrictEqual(complaints(parseEnv(one)), [])
    for (const name of SECRETS) assert.notStrictEqual(parseEnv(one)[name], parseEnv(other)[name])
    const blank = (text: string) =>
      SECRETS.reduce((rest, name) => rest.replace(new RegExp(`^${name}=.*$`, "m"), ""), text)
    assert.strictEqual(blank(one), blank(example))
    assert.strictEqual(fill(one), one)
  })

  it("are refused when they are short, known, repeated, shared, or no part of a URL, and never shown", () => {
    const good = parseEnv(fill(example))
    const wrong: ReadonlyArray<readonly [value: string, says: RegExp]> = [
      ["guest", /is shorter than 32 characters/],
      ["a1b2c3d4".repeat(4).slice(1), /is shorter/],
      ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", /repeats itself/],
      [`changeme${"0f1e2d3c4b5a69788796a5b4"}`, /a word that is tried first/],
      [`p@ss/w:rd${"0f1e2d3c4b5a69788796a5b4"}`, /is written into URLs/],
      [good["REDIS_PASSWORD"]!, /is the same as|REDIS_PASSWORD is the same/]
    ]
    for (const [value, says] of wrong) {
      const [said, ...more] = complaints({ ...good, POSTGRES_PASSWORD: value })
      assert.match(said!, says)
      assert.notInclude(said!, value)
      assert.lengthOf(more, 0)
    }
  })

  it("are needed for cold storage once it has a server", () => {
    const good = { ...parseEnv(fill(example)), S3_URL: "https://s3.example.com" }
    assert.deepStrictEqual(
      complaints(good),
      ["S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY"].map((name) => `${name} is empty, and S3_URL is not`)
    )
  })
})

describe("the first key of a cluster", () => {
  it("is made once where nobody has one, is good for work, and is nobody else's to read", async () => {
    const controlKey = "0f1e2d3c4b5a69788796a5b40f1e2d3c"
    const daemon = await startDaemon({ env: { RESULTITY_CONTROL_KEY: controlKey } })
    const file = join(temporaryFolder(), "deeper", "cluster.key")
    const options = { controlUrl: daemon.controlUrl, controlKey, environment: "testnet", file }

    // An embedded daemon has set itself up already.
    assert.isNull(await trialKey(options))

    const secret = await trialKey({ ...options, controlUrl: await emptyBefore(daemon.controlUrl) })
    assert.strictEqual(readFileSync(file, "utf8"), `${secret}\n`)
    assert.strictEqual(statSync(file).mode & 0o777, 0o600)
    assert.strictEqual((await ask({ ...daemon, key: secret! }, "GET", "/v1/balance")).status, 200)
    assert.strictEqual(await trialKey(options), secret)
  })
})

/** The same daemon seen by somebody for whom there are no namespaces yet. */
const emptyBefore = async (target: string): Promise<string> => {
  const server = createServer((incoming, outgoing) => {
    if (incoming.method === "GET") return void outgoing.end('{"data":[]}')
    const { method, headers, url } = incoming
    const onward = request(new URL(url ?? "/", target), { method: method ?? "POST", headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(outgoing)
    })
    incoming.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
}
