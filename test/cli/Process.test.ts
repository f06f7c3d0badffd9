/** The command as a process: help, exit codes, pipes that close, ctrl-C. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { COMMANDS } from "../../src/cli/Commands.ts"
import { bin } from "./Bin.ts"
import { call, fake } from "./FakeControl.ts"
import { JOB, summary } from "./samples.ts"

const ended = (argv: ReadonlyArray<string>, env?: Record<string, string>) => Effect.promise(() => bin(argv, env).ended)

describe("help", () => {
  for (const { path, flags, args } of COMMANDS) {
    it.effect(`of ${path.join(" ")} names its options, has examples, and asks nothing`, () =>
      Effect.gen(function* () {
        const { exit, out, err } = yield* call([...path, "--help"])
        assert.deepStrictEqual([exit, err], [0, ""])
        for (const { name } of flags) assert.include(out, `--${name}`)
        for (const { name } of args) assert.include(out, name)
        assert.match(out, new RegExp(`Examples:\n  resultity ${path.join(" ")}`))
        assert.isTrue(out.split("\n").every((line) => line.length <= 140))
        assert.deepStrictEqual(yield* call(["help", ...path]), { exit, out, err })
      })
    )
  }

  it.effect("of everything lists every command and every exit code", () =>
    Effect.gen(function* () {
      const { exit, out } = yield* call([])
      assert.strictEqual(exit, 0)
      for (const { path } of COMMANDS) assert.include(out, `  ${path.join(" ")}`)
      for (const code of [0, 1, 2, 3, 4, 5, 6, 130]) assert.match(out, new RegExp(`^  ${code} `, "m"))
      assert.include(out, "  daemon ")
      assert.include(out, "  node ")
      assert.deepStrictEqual(yield* call(["--help"]), yield* call(["help"]))
    })
  )

  it.effect("of a group lists the group", () =>
    Effect.gen(function* () {
      const { out } = yield* call(["jobs", "--help"])
      assert.match(out, /^ {2}jobs tail ID /m)
      assert.notInclude(out, "nodes list")
    })
  )

  it.effect("examples are command lines that are understood", () =>
    Effect.gen(function* () {
      for (const example of COMMANDS.flatMap(({ examples }) => [...examples])) {
        const [line = ""] = example.split(/ [|>] /)
        const words = (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'|'$/g, ""))
        assert.strictEqual(words[0], "resultity")
        const { err } = yield* call([...words.slice(1), "--control", "http://127.0.0.1:1"])
        // Those that ask no daemon look into a folder that is not here.
        assert.match(
          err,
          words.includes("--from") && (words[1] === "archive" || words[1] === "snapshot")
            ? /^not_found: /
            : words[1] === "receipt" && words[2] === "verify"
              ? /^(not_found|usage): /
              : /^unreachable: /,
          example
        )
      }
    })
  )
})

describe("the process", () => {
  it.live("prints and exits as the command does", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer({ json: { data: [summary()], nextCursor: null } })
      const env = { RESULTITY_CONTROL_URL: control.url }
      const listed = yield* ended(["jobs", "list", "--json"], env)
      assert.deepStrictEqual([listed.code, JSON.parse(listed.out).data[0].jobId], [0, JOB])
      const missing = yield* ended(["jobs", "show", JOB], env)
      assert.deepStrictEqual(missing, { code: 4, out: "", err: "not_found: There is nothing.\n" })
      const wrong = yield* ended(["jobs", "list", "--limit"], env)
      assert.deepStrictEqual([wrong.code, wrong.out], [2, ""])
      const version = yield* ended(["--version"])
      assert.match(version.out, /^resultity \d+\.\d+\.\d+\n$/)
    })
  )

  it.live("ends without a complaint, when nobody reads its output any more", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const line = `${"x".repeat(1000)}\n`
      control.answer((response) => {
        response.writeHead(200, { "content-type": "application/x-ndjson" })
        const more = () => {
          while (!response.destroyed) if (!response.write(line)) return void response.once("drain", more)
        }
        more()
      })
      const child = bin(["archive", "cat", "seg_1"], { RESULTITY_CONTROL_URL: control.url })
      yield* Effect.promise(() => child.line("x"))
      child.process.stdout.destroy()
      const { code, err } = yield* Effect.promise(() => child.ended)
      assert.deepStrictEqual([code, err], [0, ""])
    })
  )

  it.live("exits with 130, when ctrl-C stops a tail", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer((response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write('event: tokens\nid: 1\ndata: [{"seq":1,"choice":0,"text":"first\\n"}]\n\n')
      })
      const child = bin(["jobs", "tail", JOB], { RESULTITY_CONTROL_URL: control.url })
      yield* Effect.promise(() => child.line("first"))
      child.process.kill("SIGINT")
      const { code, err } = yield* Effect.promise(() => child.ended)
      assert.deepStrictEqual([code, err], [130, ""])
    })
  )
})
