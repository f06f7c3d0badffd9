/** `resultity doctor` as an operator runs it: before the first start, when nothing can be reached, and when something was set up wrongly. */
import { assert, describe, it } from "@effect/vitest"
import amqplib from "amqplib"
import { join } from "node:path"
import { dropInstallation, missingServers, urlOf } from "../support/Installation.ts"
import { COMMAND, run, temporaryFolder } from "../support/Process.ts"

const doctor = async (args: ReadonlyArray<string>, env: Record<string, string> = {}) => {
  const process = run("doctor", [COMMAND, "doctor", ...args], { env: { S3_URL: "", ...env } })
  const { code } = await process.exited
  return { code, text: process.lines.join("\n") }
}

const linesOf = (text: string, subject: string) => text.split("\n").filter((line) => line.includes(`  ${subject}  `))

describe("resultity doctor", () => {
  it("finds nothing in the way of the embedded default, and leaves the folder as it was", async () => {
    const data = join(temporaryFolder(), "data")
    const { code, text } = await doctor(["--data", data])
    assert.strictEqual(code, 0, text)
    assert.include(text, `${data} is not there yet; the daemon makes it`)
    assert.match(text, /checks: 0 warnings, 0 failures/)
  })

  it("says of each server that cannot be reached so, and what to do, without a password", async () => {
    const secret = "hunter2hunter2"
    const nowhere = (protocol: string) => `${protocol}://user:${secret}@127.0.0.1:1/x`
    const { code, text } = await doctor(["--profile", "cluster", "--data", temporaryFolder()], {
      POSTGRES_URL: nowhere("postgres"),
      MONGODB_URL: nowhere("mongodb"),
      REDIS_URL: nowhere("redis"),
      RABBITMQ_URL: nowhere("amqp")
    })
    assert.strictEqual(code, 1)
    for (const [name, variable] of [
      ["PostgreSQL", "POSTGRES_URL"],
      ["MongoDB", "MONGODB_URL"],
      ["Redis", "REDIS_URL"],
      ["RabbitMQ", "RABBITMQ_URL"]
    ] as const) {
      assert.match(text, new RegExp(`FAILURE  ${name} +cannot be asked: .*ECONNREFUSED`))
      assert.include(text, `→ Check ${variable}`)
    }
    assert.notInclude(text, secret)
  })

  it("tells a wrong option in one line", async () => {
    const { code, text } = await doctor(["--prot", "1"])
    assert.strictEqual(code, 1)
    assert.match(text, /^resultity doctor: .*--prot/)
  })
})

describe.skipIf(missingServers.length > 0)("resultity doctor on the servers", () => {
  it("finds nothing in the way of a first start, as text and as JSON", async () => {
    const args = ["--profile", "cluster", "--installation", "doctor_fresh", "--data", temporaryFolder()]
    const { code, text } = await doctor(args)
    assert.strictEqual(code, 0, text)
    for (const name of ["PostgreSQL", "MongoDB", "RabbitMQ"]) assert.isNotEmpty(linesOf(text, name))
    assert.include(text, "schema doctor_fresh is not there yet; the first daemon makes it")
    const json = JSON.parse((await doctor([...args, "--json"])).text) as { findings: ReadonlyArray<{ level: string }> }
    assert.isAtLeast(json.findings.length, 15)
    await dropInstallation("doctor_fresh")
  })

  it("names an exchange that stands there with other arguments", async () => {
    const connection = await amqplib.connect(urlOf("RABBITMQ_URL"))
    const channel = await connection.createChannel()
    await channel.assertExchange("doctor_drift.jobs", "fanout", { durable: true })
    const { code, text } = await doctor([
      "--profile",
      "cluster",
      "--installation",
      "doctor_drift",
      "--data",
      temporaryFolder()
    ])
    await channel.deleteExchange("doctor_drift.jobs")
    await connection.close()
    await dropInstallation("doctor_drift")
    assert.strictEqual(code, 1)
    assert.match(text, /FAILURE  RabbitMQ +doctor_drift\.jobs stands there with other arguments/)
  })
})
