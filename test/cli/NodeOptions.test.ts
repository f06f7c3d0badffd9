/** The command line of `resultity node`. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { HELP, type NodeOptions, readOptions, warningOf } from "../../src/agent/main.ts"
import { homedir, hostname } from "node:os"

type Env = Parameters<typeof readOptions>[1]

const read = (argv: string, env: Env = {}): NodeOptions => {
  const options = Result.getOrThrow(readOptions(argv.split(" ").filter(Boolean), env))
  if (options === "help") throw new Error("help was not asked for")
  return options
}
const fault = (argv: string, env: Env = {}): string =>
  Result.getOrThrow(Result.flip(readOptions(argv.split(" ").filter(Boolean), env)))

describe("the options of a node", () => {
  it("have defaults for everything but the runtime", () => {
    assert.deepStrictEqual(read("--simulate swift"), {
      runtime: null,
      simulate: "swift",
      daemon: ["ws://127.0.0.1:8400/nodes/connect"],
      key: `${homedir()}/.resultity/node.key`,
      environment: "testnet",
      name: hostname().slice(0, 64),
      slots: 8,
      region: null,
      subcloud: [],
      continuation: "auto",
      embeddings: [],
      log: "Info",
      json: false
    })
  })

  it("are read from flags, which may come again where several are meant", () => {
    const options = read(
      "--runtime http://h:1/v1 --key k --name n --slots 3 --region eu --subcloud a --subcloud b --embeddings m --embeddings o --continuation vllm --environment mainnet --log None --json"
    )
    assert.deepStrictEqual(options.subcloud, ["a", "b"])
    assert.deepStrictEqual(options.embeddings, ["m", "o"])
    assert.deepStrictEqual(
      [options.key, options.name, options.slots, options.region, options.continuation, options.environment],
      ["k", "n", 3, "eu", "vllm", "mainnet"]
    )
    assert.deepStrictEqual([options.log, options.json], ["None", true])
  })

  it("are read from variables too, and flags go first", () => {
    const env = {
      RESULTITY_NODE_RUNTIME: "http://h:1/v1",
      RESULTITY_NODE_SLOTS: "3",
      RESULTITY_NODE_SUBCLOUD: "a, b",
      RESULTITY_NODE_REGION: ""
    }
    assert.deepStrictEqual(read("", env).subcloud, ["a", "b"])
    assert.strictEqual(read("", env).slots, 3)
    assert.strictEqual(read("", env).region, null)
    assert.strictEqual(read("--slots 4", env).slots, 4)
    const simulated = read("--simulate swift", env)
    assert.deepStrictEqual([simulated.runtime, simulated.simulate], [null, "swift"])
  })

  it("complete the daemon's URL, whichever of its addresses is given", () => {
    const daemon = (url: string) => read(`--simulate swift --daemon ${url}`).daemon[0]
    assert.strictEqual(daemon("http://d:8400"), "ws://d:8400/nodes/connect")
    assert.strictEqual(daemon("https://d.example/"), "wss://d.example/nodes/connect")
    assert.strictEqual(daemon("https://d.example/base/"), "wss://d.example/base/nodes/connect")
    assert.strictEqual(daemon("https://d.example/nodes/connect"), "wss://d.example/nodes/connect")
    assert.strictEqual(daemon("ws://d:1"), "ws://d:1/nodes/connect")
    assert.strictEqual(daemon("ws://d:1/other"), "ws://d:1/other")
    assert.deepStrictEqual(read("--simulate swift --daemon ws://a --daemon ws://b/x").daemon, [
      "ws://a/nodes/connect",
      "ws://b/x"
    ])
  })

  it("complete the runtime's URL, when it says no version", () => {
    const runtime = (url: string) => read(`--runtime ${url}`).runtime
    assert.strictEqual(runtime("http://127.0.0.1:8000"), "http://127.0.0.1:8000/v1")
    assert.strictEqual(runtime("http://127.0.0.1:8000/v1/"), "http://127.0.0.1:8000/v1")
    assert.strictEqual(runtime("https://h/openai/v2"), "https://h/openai/v2")
  })

  it("keep the key below the home folder, when a shell has left the tilde", () => {
    assert.strictEqual(read("--simulate swift --key=~/a.key").key, `${homedir()}/a.key`)
  })

  const FAULTS: ReadonlyArray<readonly [argv: string, line: RegExp]> = [
    ["", /^give either --runtime URL or --simulate CHARACTER/],
    ["--runtime http://h:1 --simulate swift", /^give either --runtime/],
    ["--simulate quick", /^--simulate \(RESULTITY_NODE_SIMULATE\): "quick" will not do: Expected "swift"/],
    ["--simulate swift --slots 0", /^--slots \(RESULTITY_NODE_SLOTS\): 0 will not do/],
    ["--simulate swift --slots many", /^--slots \(RESULTITY_NODE_SLOTS\): "many" will not do/],
    ["--simulate swift --environment prod", /^--environment \(RESULTITY_NODE_ENVIRONMENT\)/],
    ["--simulate swift --daemon d:8400", /^--daemon \(RESULTITY_NODE_DAEMON\): "d:8400" will not do: expected a URL/],
    ["--runtime localhost:8000", /^--runtime \(RESULTITY_NODE_RUNTIME\)/],
    ["--runtime http://user:pass@h", /^--runtime \(RESULTITY_NODE_RUNTIME\)/],
    ["--simulate swift --log Loud", /^--log \(RESULTITY_NODE_LOG\)/],
    ["--simulate swift --bogus", /^Unknown option '--bogus'.*\(see resultity node --help\)$/],
    ["--simulate", /argument missing.*\(see resultity node --help\)$/]
  ]
  for (const [argv, line] of FAULTS) {
    it(`are refused in one line, when they are \`${argv}\``, () => {
      const said = fault(argv)
      assert.match(said, line)
      assert.notInclude(said, "\n")
    })
  }

  it("stand all in the help, with their variables", () => {
    assert.strictEqual(Result.getOrThrow(readOptions(["--help"], {})), "help")
    for (const field of Object.keys(read("--simulate swift"))) {
      assert.include(HELP, `--${field}`)
      if (field !== "json") assert.include(HELP, `RESULTITY_NODE_${field.toUpperCase()}`)
    }
    assert.include(HELP, "RESULTITY_RUNTIME_KEY")
  })
})

describe("the runtime's key", () => {
  it("is warned about, when it would travel in the open to another machine", () => {
    assert.match(warningOf(read("--runtime http://10.0.0.2:8000"), true) ?? "", /unencrypted to http:\/\/10\.0\.0\.2/)
    for (const url of ["https://h", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"]) {
      assert.isNull(warningOf(read(`--runtime ${url}`), true), url)
    }
    assert.isNull(warningOf(read("--runtime http://10.0.0.2:8000"), false))
  })
})
