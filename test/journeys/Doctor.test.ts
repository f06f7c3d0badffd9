/** `resultity doctor` as an operator and as a program run it: before the first start, beside a daemon, with wrong options, and where nothing answers. */
import { assert, describe, it } from "@effect/vitest"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import amqplib from "amqplib"
import { onTestFinished } from "vitest"
import type { Finding } from "../../src/layers/Diagnosis.ts"
import { RabbitTopology } from "../../src/layers/rabbitmq/RabbitTopology.ts"
import { startDaemon } from "../support/Daemon.ts"
import { findingOf } from "../support/Findings.ts"
import { dropInstallation, missingServers, urlOf } from "../support/Installation.ts"
import { COMMAND, run, temporaryFolder } from "../support/Process.ts"
import { TcpProxy } from "../support/TcpProxy.ts"

const doctor = async (args: ReadonlyArray<string>, env: Record<string, string> = {}) => {
  const process = run("doctor", [COMMAND, "doctor", ...args], { env })
  const { code } = await process.exited
  return { code, text: process.lines.join("\n") }
}

interface Report {
  readonly level: Finding["level"]
  readonly findings: ReadonlyArray<Finding>
}

const report = async (args: ReadonlyArray<string>, env: Record<string, string> = {}) => {
  const { code, text } = await doctor(["--json", ...args], env)
  return { code, text, ...(JSON.parse(text) as Report) }
}

/** A port where nobody listens, and which `fetch` does not refuse by itself. */
const NOWHERE = "127.0.0.1:2"

/** What this test is not about: the disk of the machine that it runs on. */
const bad = (findings: ReadonlyArray<Finding>) =>
  findings
    .filter(({ what, level }) => level === "bad" && what !== "disk")
    .map(({ server, what }) => `${server} ${what}`)

describe("resultity doctor", () => {
  it("finds the embedded default good before the first start, and makes nothing", async () => {
    const data = join(temporaryFolder(), "data")
    const { findings } = await report(["--data", data])
    assert.deepStrictEqual(bad(findings), [])
    assert.deepStrictEqual([...new Set(findings.map(({ server }) => server))], ["host", "data folder", "database file"])
    assert.isFalse(existsSync(data))
  })

  it("tells people the same in lines, each with what to do", async () => {
    const { text } = await doctor(["--data", join(temporaryFolder(), "data")])
    assert.match(text, /^SERVER +WHAT +LEVEL +SAID$/m)
    assert.match(text, /^host +Node +good +v\d+/m)
    assert.match(text, /^database file +database +good +it is not there yet/m)
    assert.match(text, /^good: \d+, warnings: \d+, bad: \d+$/m)
  })

  it("sees that a daemon uses the folder, and disturbs it as little as the daemon it", async () => {
    const { data } = await startDaemon()
    const { findings } = await report(["--data", data])
    assert.deepStrictEqual(bad(findings), [])
    assert.match(findingOf(findings, "database").said, /a daemon uses it/)
  })

  it("needs nothing but the host in memory", async () => {
    const { code, findings } = await report(["--profile", "memory"])
    assert.strictEqual(code, 0)
    assert.deepStrictEqual(
      findings.map(({ server }) => server),
      ["host", "host"]
    )
  })

  it("leaves with exit code 1 and one line when an option is wrong or lacking", async () => {
    for (const [args, says] of [
      [["--prot", "1"], /--prot/],
      [["--profile", "cluster"], /needs --postgres-url/],
      [["--json", "--port", "99999"], /--port \(RESULTITY_PORT\): 99999 will not do/]
    ] as const) {
      const env = { POSTGRES_URL: "", MONGODB_URL: "", REDIS_URL: "", RABBITMQ_URL: "" }
      const { code, text } = await doctor(args, env)
      assert.strictEqual(code, 1)
      assert.match(text, /^resultity doctor: .*$/)
      assert.match(text, says)
    }
  })

  it("explains itself", async () => {
    const { code, text } = await doctor(["--help"])
    assert.strictEqual(code, 0)
    assert.match(text, /^Usage: resultity doctor /m)
  })

  it("says of each server that nobody answers, and what to do, without a secret", async () => {
    const secret = "hunter2-hunter2"
    const nowhere = (protocol: string) => `${protocol}://operator:${secret}@${NOWHERE}/x`
    const { code, text, level, findings } = await report(["--profile", "cluster", "--data", temporaryFolder()], {
      POSTGRES_URL: nowhere("postgres"),
      MONGODB_URL: nowhere("mongodb"),
      REDIS_URL: `redis://:${secret}@${NOWHERE}/0`,
      RABBITMQ_URL: nowhere("amqp"),
      S3_URL: `http://${NOWHERE}`,
      S3_ACCESS_KEY: "the-access-key",
      S3_SECRET_KEY: secret
    })
    assert.deepStrictEqual([code, level], [1, "bad"])
    assert.deepStrictEqual(
      bad(findings),
      ["PostgreSQL", "MongoDB", "Redis", "RabbitMQ", "S3"].map((server) => `${server} reachable`)
    )
    for (const { level, said, todo } of findings) {
      if (level === "bad") assert.match(`${said} ${todo}`, /ECONNREFUSED.* Check \w+_URL/)
    }
    for (const word of [secret, "the-access-key"]) assert.notInclude(text, word)
  })

  it("conceals a password that a server repeats", async () => {
    const secret = "hunter2-hunter2"
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy())
      socket.on("data", () => socket.write(`-WRONGPASS ${secret} will not do\r\n`.repeat(4)))
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    onTestFinished(() => void server.close())
    const { port } = server.address() as { readonly port: number }
    const { text, findings } = await report(["--profile", "cluster", "--data", temporaryFolder()], {
      POSTGRES_URL: `postgres://${NOWHERE}/x`,
      MONGODB_URL: `mongodb://${NOWHERE}/x`,
      REDIS_URL: `redis://:${secret}@127.0.0.1:${port}`,
      RABBITMQ_URL: `amqp://${NOWHERE}`
    })
    assert.match(findings.map(({ said }) => said).join("; "), /WRONGPASS \*\*\* will not do/)
    assert.notInclude(text, secret)
  })

  it("comes to an end within seconds when all servers hang", async () => {
    const proxy = await TcpProxy.start({ host: "127.0.0.1", port: 1 })
    onTestFinished(() => proxy.stop())
    await proxy.hang()
    const host = `127.0.0.1:${proxy.port}`
    const from = performance.now()
    const { code, findings } = await report(["--profile", "cluster", "--data", temporaryFolder()], {
      POSTGRES_URL: `postgres://${host}/x`,
      MONGODB_URL: `mongodb://${host}/x`,
      REDIS_URL: `redis://${host}`,
      RABBITMQ_URL: `amqp://${host}`,
      S3_URL: `http://${host}`,
      S3_ACCESS_KEY: "the-access-key",
      S3_SECRET_KEY: "the-secret-key"
    })
    assert.isBelow(performance.now() - from, 15_000)
    assert.strictEqual(code, 1)
    assert.lengthOf(bad(findings), 5)
  })
})

if (missingServers.length > 0) {
  console.warn(`skipped: resultity doctor on the servers of a cluster; set ${missingServers.join(", ")}`)
}
describe.skipIf(missingServers.length > 0)("resultity doctor on the servers of a cluster", () => {
  const env = {
    POSTGRES_URL: urlOf("POSTGRES_URL"),
    MONGODB_URL: urlOf("MONGODB_URL"),
    REDIS_URL: urlOf("REDIS_URL"),
    RABBITMQ_URL: urlOf("RABBITMQ_URL")
  }
  const argsOf = (installation: string) => [
    "--profile",
    "cluster",
    "--installation",
    installation,
    "--data",
    temporaryFolder()
  ]

  const fresh = () => `doctor_${randomBytes(4).toString("hex")}`

  /** Also what a daemon leaves on the broker for its successors. */
  const forget = async (installation: string) => {
    await dropInstallation(installation)
    const { exchanges, parked, unreadable } = new RabbitTopology(installation)
    const sweepers = ["expiry", "outbox-relay", "owner-reaper", "record-repair", "retention"]
    const connection = await amqplib.connect(env.RABBITMQ_URL)
    const channel = await connection.createChannel()
    for (const { name } of [parked, unreadable]) await channel.deleteQueue(name)
    for (const sweeper of sweepers) await channel.deleteQueue(`${installation}.sweeper.${sweeper}`)
    for (const [name] of exchanges) await channel.deleteExchange(name)
    await connection.close()
  }

  it("finds nothing bad before the first start, nor beside a daemon", async () => {
    const installation = fresh()
    onTestFinished(() => forget(installation))
    const before = await report(argsOf(installation), env)
    assert.deepStrictEqual(bad(before.findings), [])
    assert.isAtLeast(before.findings.length, 30)
    assert.match(findingOf(before.findings, "migrations").said, /none yet/)
    const daemon = await startDaemon({ args: ["--profile", "cluster", "--installation", installation], env })
    const { findings } = await report(argsOf(installation), env)
    await daemon.kill("SIGTERM")
    assert.deepStrictEqual(bad(findings), [])
    assert.match(findingOf(findings, "migrations").said, /as this program has it/)
    assert.match(findingOf(findings, "indexes").said, /^all \d+ are there/)
    assert.match(findingOf(findings, "topology").said, /as declared/)
  })

  it("names an exchange that stands in the way, with exit code 1", async () => {
    const installation = fresh()
    const connection = await amqplib.connect(env.RABBITMQ_URL)
    const channel = await connection.createChannel()
    onTestFinished(async () => {
      await connection.close()
      await forget(installation)
    })
    await channel.assertExchange(`${installation}.jobs`, "fanout")
    const { code, findings } = await report(argsOf(installation), env)
    assert.strictEqual(code, 1)
    assert.deepStrictEqual(bad(findings), ["RabbitMQ topology"])
    assert.include(findingOf(findings, "topology").said, `${installation}.jobs is not what this program declares`)
  })
})
