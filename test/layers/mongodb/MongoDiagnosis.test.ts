/** What the doctor says of a real server of MongoDB's protocol, healthy, lacking an index, frozen and away. */
import { randomBytes } from "node:crypto"
import { Redacted } from "effect"
import { MongoClient as Driver } from "mongodb"
import { afterAll, assert, describe, it, onTestFinished } from "vitest"
import { INDEXES } from "../../../src/layers/mongodb/Indexes.ts"
import { diagnose } from "../../../src/layers/mongodb/MongoDiagnosis.ts"
import { complaints, examine, findingOf } from "../../support/Findings.ts"
import { TcpProxy } from "../../support/TcpProxy.ts"

const url = process.env["MONGODB_URL"] ?? ""
const WHAT = "the diagnosis of MongoDB"

if (url === "") {
  console.warn(`skipped: ${WHAT}; set MONGODB_URL to a MongoDB-protocol server`)
  describe.skip(WHAT, () => it("needs a server", () => undefined))
} else {
  describe(WHAT, () => {
    const database = `suite_${randomBytes(5).toString("hex")}`
    const here = { url: Redacted.make(url), database }
    const driver = new Driver(url)
    const db = driver.db(database)
    afterAll(async () => {
      await db.dropDatabase()
      await driver.close()
    })

    const at = (host: string) => {
      const other = new URL(url)
      other.host = host
      return Redacted.make(other.href)
    }

    it("complains of nothing before the first start, and leaves no collection", async () => {
      const findings = await examine(diagnose(here))
      assert.deepStrictEqual(complaints(findings), [])
      assert.match(findingOf(findings, "indexes").said, /none yet/)
      assert.deepStrictEqual(await db.listCollections().toArray(), [])
    })

    it("names the indexes that are missing, and none when all are there", async () => {
      const [first, ...others] = INDEXES.logs
      await db.collection("logs").createIndexes([...others])
      const { level, said } = findingOf(await examine(diagnose(here)), "indexes")
      assert.deepStrictEqual([level, said], ["warning", `1 are missing: logs.${first?.name}`])
      await db.collection("logs").createIndexes([...INDEXES.logs])
      assert.strictEqual(
        findingOf(await examine(diagnose(here)), "indexes").said,
        `all ${INDEXES.logs.length} are there`
      )
    })

    it("is one bad finding when nobody listens, or the server is frozen", async () => {
      const { hostname, port } = new URL(url)
      const proxy = await TcpProxy.start({ host: hostname, port: Number(port === "" ? 27_017 : port) })
      onTestFinished(() => proxy.stop())
      await proxy.hang()
      for (const host of ["127.0.0.1:1", `127.0.0.1:${proxy.port}`]) {
        const findings = await examine(diagnose({ ...here, url: at(host) }))
        assert.deepStrictEqual(
          findings.map(({ what, level }) => `${level} ${what}`),
          ["bad reachable"],
          host
        )
      }
    })
  })
}
