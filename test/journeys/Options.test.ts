/** What a daemon may be started with, what it refuses before anything starts, and who can reach it. */
import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { networkInterfaces } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { ask, look, startDaemon } from "../support/Daemon.ts"
import { nodeLines } from "../support/Nodes.ts"
import { COMMAND, run, temporaryFolder } from "../support/Process.ts"

const ANY_PORT = ["--port", "0", "--control-port", "0", "--no-nodes"]

/** Runs a daemon that is expected to give up, and gives what it said. */
const refusal = async (args: ReadonlyArray<string>, env: Record<string, string> = {}) => {
  const daemon = run("daemon", [COMMAND, "daemon", ...args], { env })
  const { code } = await daemon.exited
  return { code, lines: daemon.lines }
}

const fileWith = (text: string): string => {
  const path = join(temporaryFolder(), "config.json")
  writeFileSync(path, text)
  return path
}

describe("a daemon that is started wrongly", () => {
  const cases: ReadonlyArray<
    readonly [what: string, args: ReadonlyArray<string>, env: Record<string, string>, says: RegExp]
  > = [
    ["a port that is none", ["--port", "99999"], {}, /--port \(RESULTITY_PORT\): 99999 will not do/],
    ["a port that is a word", ["--port", "http"], {}, /--port .*"http" will not do/],
    ["an option that is none", ["--prot", "1"], {}, /--prot/],
    ["a value without an option", ["now"], {}, /now/],
    ["a character nobody knows", ["--nodes", "swift,lazy"], {}, /--nodes .*lazy/],
    ["a bad variable", [], { RESULTITY_DRAIN_MS: "soon" }, /--drain-ms \(RESULTITY_DRAIN_MS\): "soon" will not do/],
    ["a gateway that is no address", ["--trusted-proxies", "gateway"], {}, /--trusted-proxies .*Expected an address/],
    ["a range that is none", ["--webhook-ranges", "10.0.0.0/99"], {}, /--webhook-ranges .*Expected an address/],
    ["a scheme nobody speaks", ["--webhook-schemes", "https,ftp"], {}, /--webhook-schemes .*ftp/],
    ["a sink in a bucket of no server", ["--sinks", "/tmp/a,s3://jobs"], {}, /--sinks s3:\S+ needs --s3-url/],
    ["a sink where nothing may go", ["--sinks", "http://127.0.0.1:9/jobs"], {}, /--sinks .* has to begin with https/],
    ["a sink's token that is none", [], { RESULTITY_SINK_TOKEN: "two words" }, /--sink-token \S+ the given value/],
    ["no scheme at all", [], { RESULTITY_WEBHOOK_SCHEMES: "none" }, /--webhook-schemes .*will not do/],
    ["a control listener in public without a key", ["--control-host", "0.0.0.0"], {}, /--control-host .*--control-key/],
    ["a key that is short", ["--control-key", "abc"], {}, /--control-key .*the given value will not do/],
    ["one port for both", ["--port", "8400", "--control-port", "8400"], {}, /both 8400/],
    ["a config file that is not there", ["--config", "/nowhere/at/all.json"], {}, /config file .*ENOENT/]
  ]
  for (const [what, args, env, says] of cases) {
    it(`says so in one line and leaves with exit code 1, when it is ${what}`, async () => {
      const data = join(temporaryFolder(), "data")
      const { code, lines } = await refusal([...args, "--data", data], env)
      assert.strictEqual(code, 1)
      assert.lengthOf(lines, 1)
      assert.match(lines[0] ?? "", says)
      assert.isFalse(existsSync(data))
    })
  }

  it("names the config file and what is wrong in it", async () => {
    for (const [text, says] of [
      ["{ port: 1 }", /JSON/],
      ["[]", /top level has to be an object/],
      [`{ "prot": 1 }`, /there is no setting prot/],
      [`{ "port": "1" }`, /--port .*"1" will not do/]
    ] as const) {
      const { code, lines } = await refusal(["--config", fileWith(text)])
      assert.deepStrictEqual([code, lines.length], [1, 1], lines.join("\n"))
      assert.match(lines[0] ?? "", says)
    }
  })

  it("says which port is busy", async () => {
    const other = createServer().listen(0, "127.0.0.1")
    await once(other, "listening")
    onTestFinished(() => void other.close())
    const { port } = other.address() as AddressInfo
    const { code, lines } = await refusal([...ANY_PORT, "--port", String(port), "--data", temporaryFolder()])
    assert.strictEqual(code, 1)
    assert.deepStrictEqual(
      lines.filter((line) => !line.startsWith("{")),
      [`resultity daemon: 127.0.0.1:${port} is in use by another program: stop it, or choose another port`]
    )
  })

  it("says that another daemon uses the folder, and leaves that one alone", async () => {
    const first = await startDaemon()
    const { code, lines } = await refusal([...ANY_PORT, "--data", first.data])
    assert.strictEqual(code, 1)
    assert.match(lines.filter((line) => !line.startsWith("{")).join("\n"), /in use by another daemon/)
    assert.strictEqual((await ask(first, "GET", "/v1/models")).status, 200)
  })
})

describe("a daemon", () => {
  it("takes flags before variables before the config file", async () => {
    const data = temporaryFolder()
    const config = fileWith(JSON.stringify({ data, environment: "mainnet", drainMs: 11, nodes: ["swift"] }))
    const daemon = await startDaemon({
      data,
      args: ["--config", config, "--log", "Warn"],
      env: { RESULTITY_ENVIRONMENT: "testnet", RESULTITY_LOG: "Debug" }
    })
    const status = await ask<{ environment: string }>(daemon, "GET", "/status")
    assert.strictEqual(status.body.environment, "testnet")
    assert.deepStrictEqual(
      daemon.lines.filter((line) => line.includes('"level":"DEBUG"') || line.includes('"level":"INFO"')),
      []
    )
    // `startDaemon` said --no-nodes, the file said otherwise.
    assert.deepStrictEqual(await nodeLines(daemon), [])
  })

  it("without simulated nodes starts none and prints no request that would fail", async () => {
    const daemon = await startDaemon({ nodes: [] })
    assert.deepStrictEqual(await nodeLines(daemon), [])
    assert.isFalse(daemon.lines.some((line) => line.includes("curl")))
    assert.strictEqual((await look<{ ready: boolean }>(daemon, "/readyz")).ready, true)
  })

  it("makes a folder that is not there, for its owner alone, also in the path of another", async () => {
    const parent = temporaryFolder()
    mkdirSync(join(parent, "a"))
    const daemon = await startDaemon({ data: join(parent, "a", "b", "c") })
    assert.isTrue(existsSync(join(daemon.data, "demo.key")))
  })

  it("listens on loopback alone", async () => {
    const daemon = await startDaemon()
    const outside = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal, family }) => !internal && family === "IPv4")
    for (const { address } of outside) {
      for (const url of [daemon.url, daemon.controlUrl]) {
        const reached = await fetch(`http://${address}:${new URL(url).port}/healthz`).then(
          () => true,
          () => false
        )
        assert.isFalse(reached, `${url} answers at ${address}`)
      }
    }
    for (const url of [daemon.url, daemon.controlUrl]) assert.strictEqual(new URL(url).hostname, "127.0.0.1")
  })
})
