/** What a script sees of a command that did not work: its exit code, and one line on stderr that begins with a code. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { call, callAt, fake, problem } from "./FakeControl.ts"

const EXITS: ReadonlyArray<readonly [status: number, code: string, exit: number]> = [
  [400, "invalid_request", 1],
  [401, "invalid_api_key", 1],
  [403, "forbidden", 1],
  [404, "not_found", 4],
  [410, "archived", 4],
  [409, "conflict", 5],
  [429, "rate_limited", 6],
  [503, "unavailable", 6],
  [503, "draining", 6]
]

describe("a command that fails", () => {
  for (const [status, code, exit] of EXITS) {
    it.live(`exits with ${exit} and one line, when it is refused with ${code}`, () =>
      Effect.gen(function* () {
        const control = yield* fake
        control.answer(problem(status, code, "Not\nlike this.\u001b[31m"))
        const printed = yield* callAt(control, "nodes", "list")
        const hint = status >= 500 ? " (request req_1)" : ""
        assert.deepStrictEqual(printed, { exit, out: "", err: `${code}: Not like this.\ufffd[31m${hint}\n` })
      })
    )
  }

  it.live("exits with 3 and says where it looked, when no daemon is there", () =>
    Effect.gen(function* () {
      const url = (yield* Effect.scoped(fake)).url
      const { exit, out, err } = yield* call(["nodes", "list", "--json"], { RESULTITY_CONTROL_URL: url })
      assert.deepStrictEqual([exit, out], [3, ""])
      assert.strictEqual(
        err,
        `unreachable: No daemon answers at ${url} (ECONNREFUSED). Start one, or say where it is with --control URL.\n`
      )
    })
  )

  it.live("exits with 1, when what answers is no daemon", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer({ text: "<html>" }, { json: { hello: 1 } }, { status: 502, text: "bad gateway" })
      assert.match((yield* callAt(control, "nodes", "list")).err, /^bad_answer: .* without JSON/)
      assert.match((yield* callAt(control, "nodes", "list")).err, /^bad_answer: .* lacks fields/)
      const { exit, err } = yield* callAt(control, "nodes", "list")
      assert.strictEqual(exit, 1)
      assert.match(err, /^http_502: /)
    })
  )

  it.live("exits with 3, when the answer breaks off", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer((response) => {
        response.writeHead(200, { "content-length": "100" })
        response.write("{", () => response.destroy())
      })
      const { exit, err } = yield* callAt(control, "nodes", "list")
      assert.strictEqual(exit, 3)
      assert.match(err, /^unreachable: The connection to \S+ was lost/)
    })
  )

  const USAGE: ReadonlyArray<readonly [argv: string, line: RegExp]> = [
    [
      "jobs",
      /^jobs needs one more word; there are jobs list, show, tail, cancel, explain, export, receipt, hold, release, erase$/
    ],
    ["jobs lst", /^there is no jobs lst; there are jobs list/],
    ["quality sets", /^quality sets needs one more word; there are quality sets list, show, add$/],
    ["quality sets drop", /^there is no quality sets drop; there are quality sets list, show, add$/],
    ["quality", /^quality needs one more word; there are quality sets, scores, trials$/],
    ["frobnicate", /^there is no command frobnicate; there are jobs, .*daemon, node$/],
    ["--json daemon", /^daemon has to come first/],
    ["jobs show", /^jobs show needs ID: the job \(see resultity jobs show --help\)$/],
    ["jobs show a b", /^jobs show does not take "b"/],
    ["jobs list --bogus", /^jobs list has no option --bogus/],
    ["jobs list -x", /^jobs list has no option -x/],
    ["nodes list --dry-run", /^nodes list has no option --dry-run/],
    ["jobs list --limit 0", /^--limit is a number from 1 to 100/],
    ["jobs list --limit", /^--limit needs a value: --limit=N/],
    ["jobs list --limit --json", /^--limit needs a value/],
    ["jobs list --limit 5 --limit 6", /^--limit is given twice/],
    ["jobs list --status done", /^--status is one of queued, active/],
    ["jobs list --json=yes", /^--json takes no value/],
    ["jobs list --from yesterday", /^--from has to be an ISO 8601 instant/],
    ["jobs list --model=", /^--model is empty/],
    ["jobs cancel job_1", /^jobs cancel needs --reason TEXT: it is written to the audit$/],
    ["nodes pause 0x1", /^nodes pause needs --reason TEXT/],
    ["namespaces create a", /^namespaces create needs --reason TEXT/],
    ["settings set a=1", /^settings set needs --reason TEXT/],
    ["archive verify a", /^archive verify needs --reason TEXT/],
    ["archive verify", /^archive verify needs --reason TEXT/],
    ["archive cat", /^archive cat needs ID: the segment, as `archive list` names it/],
    ["archive cat a b", /^archive cat does not take "b", but with --from/],
    ["archive cat --all", /^--all needs --from PLACE/],
    ["archive cat --job a --from /nowhere", /^--job is a job's id/],
    ["archive cat --from /nowhere", /^archive cat needs ID, --all or --job/],
    ["archive cat a --all --from /nowhere", /^archive cat takes either ID or --all/],
    ["archive list --s3-url http://x", /^--s3-url needs --from PLACE/],
    ["archive restore --into /nowhere", /^archive restore needs --from PLACE/],
    ["archive restore --from /nowhere", /^archive restore needs --into PLACE/],
    ["snapshot create", /^snapshot create needs --reason TEXT/],
    ["snapshot verify --reason x", /^without --from one NUMBER is needed/],
    ["snapshot verify x --from /nowhere.car", /^"x" is no snapshot's number/],
    ["snapshot verify 2 --signer ab --from /nowhere", /^--signer is a public key/],
    ["snapshot list --s3-url http://x", /^--s3-url needs --from PLACE/],
    ["snapshot diff 1", /^snapshot diff needs B/],
    ["snapshot diff 1 2 --from x.car", /^snapshot diff needs an archive/],
    ["snapshot export 1", /^snapshot export needs --to FILE/],
    ["snapshot restore --data /nowhere", /^snapshot restore needs --from PLACE/],
    ["snapshot fork --from /nowhere", /^snapshot fork needs --environment NAME/],
    ["snapshot fork --from /nowhere --environment moon", /^--environment is one of testnet, mainnet/],
    ["credits grant ns_1 1", /^credits grant needs --reason TEXT/],
    ["credits grant ns_1 0 --reason x", /^AMOUNT is a positive number of credits/],
    ["credits grant ns_1 1.1234567 --reason x", /^AMOUNT is a positive number of credits/],
    ["settings set --reason x", /^settings set needs either KEY=VALUE or --file FILE/],
    ["settings set --reason x --file /nowhere/at.all", /^--file \/nowhere\/at\.all: ENOENT/],
    ["jobs list --control ftp://x", /^--control \(RESULTITY_CONTROL_URL\) has to be a URL/],
    ["jobs list --actor a:b", /^--actor \(RESULTITY_ACTOR\) is up to 64/]
  ]
  for (const [argv, line] of USAGE) {
    it.live(`exits with 2 and asks nothing, when it is \`${argv}\``, () =>
      Effect.gen(function* () {
        const control = yield* fake
        const { exit, out, err } = yield* callAt(control, ...argv.split(" "))
        assert.deepStrictEqual([exit, out, control.asked.length], [2, "", 0])
        const [said = "", rest] = err.split("\n")
        assert.match(said.replace(/^usage: /, ""), line)
        assert.isTrue(said.startsWith("usage: ") && rest === "")
      })
    )
  }
})

describe("the control key", () => {
  it.live("is sent as bearer and never printed, wherever it comes from", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const env = { RESULTITY_CONTROL_URL: control.url, RESULTITY_CONTROL_KEY: "from-env-secret" }
      const refused = problem(401, "invalid_api_key", "The control key is needed.")
      control.answer(refused, refused)
      const first = yield* call(["nodes", "list"], env)
      const second = yield* call(["nodes", "list", "--control-key", "from-flag-secret"], env)
      assert.deepStrictEqual(
        control.asked.map(({ headers }) => headers["authorization"]),
        ["Bearer from-env-secret", "Bearer from-flag-secret"]
      )
      assert.notInclude(JSON.stringify([first, second]), "secret")
      const bad = yield* call(["nodes", "list", "--control-key", "a secret\n"], env)
      assert.strictEqual(bad.exit, 2)
      assert.notInclude(bad.err, "secret")
    })
  )

  it.live("is warned about, when it would travel in the open to another machine", () =>
    Effect.gen(function* () {
      const there = yield* call(["nodes", "list", "--control", "http://host.invalid:1", "--control-key", "k"])
      assert.match(there.err, /^warning: the control key travels unencrypted to http:\/\/host\.invalid:1\n/)
      const control = yield* fake
      control.answer({ json: { data: [] } })
      const here = yield* call(["nodes", "list", "--control", control.url, "--control-key", "k"])
      assert.deepStrictEqual(here.err, "")
    })
  )
})

describe("the operator", () => {
  it.live("is named with each change, and is the command line when nobody is named", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const argv = ["sweep", "expiry", "--control", control.url]
      yield* call(argv)
      yield* call(argv, { RESULTITY_ACTOR: "ann" })
      yield* call([...argv, "--actor", "bob"], { RESULTITY_ACTOR: "ann" })
      assert.deepStrictEqual(
        control.asked.map(({ headers }) => headers["x-actor"]),
        ["cli", "ann", "bob"]
      )
    })
  )
})
