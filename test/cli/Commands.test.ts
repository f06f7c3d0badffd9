/** Every command against a listener that answers with recorded shapes: what it asks, what it shows, and what `--json` hands on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { COMMANDS } from "../../src/cli/Commands.ts"
import { callAt, fake } from "./FakeControl.ts"
import { ledgerCases } from "./ledgerCases.ts"
import * as Sample from "./samples.ts"
import { snapshotCases, work } from "./snapshotCases.ts"
import { erasureCases } from "./erasureCases.ts"
import { incidentCases } from "./incidentCases.ts"
import { qualityCases } from "./qualityCases.ts"
import { receiptCases } from "./receiptCases.ts"
import { recordCases } from "./recordCases.ts"
import { webhookCases } from "./webhookCases.ts"

const { NODE, NS, KEY, JOB, SEGMENT, AT } = Sample
const REASON = ["--reason", "so it is"]
const reason = "so it is"

interface Case {
  readonly argv: ReadonlyArray<string>
  readonly asks: string
  readonly body?: unknown
  readonly answer: unknown
  /** Stand in the text, each on a line in this order. */
  readonly shows: ReadonlyArray<RegExp>
}

const CASES: ReadonlyArray<Case> = [
  ...incidentCases,
  ...webhookCases,
  ...snapshotCases,
  ...ledgerCases,
  ...recordCases,
  ...erasureCases,
  ...receiptCases,
  ...qualityCases,
  {
    argv: ["jobs", "list", "--status", "completed", "--node", NODE.toUpperCase().replace("0X", "0x"), "--limit", "5"],
    asks: `GET /control/jobs?status=completed&node=${NODE}&limit=5`,
    answer: { data: [Sample.summary()], nextCursor: null },
    shows: [/^JOB +CREATED/, /^job_01\w+ +2026-11-25T04:11:39\.042Z +completed +- +chat .* 9\+43 +0\.000138 +1173 +ns_/]
  },
  {
    argv: ["jobs", "show", JOB],
    asks: `GET /control/jobs/${JOB}`,
    answer: Sample.shownJob,
    shows: [
      /^state +completed$/,
      /^finished +\S+ after 1173 ms$/,
      /^finished +2026.*completed +1 +0x/,
      / +1 +0x\w+ +succeeded/
    ]
  },
  {
    argv: ["jobs", "explain", JOB],
    asks: `GET /control/jobs/${JOB}/explain`,
    answer: { jobId: JOB, sentences: ["It waits.", "Nobody serves it."] },
    shows: [/^It waits\.$/, /^Nobody serves it\.$/]
  },
  {
    argv: ["jobs", "cancel", JOB, ...REASON],
    asks: `POST /control/jobs/${JOB}/cancel`,
    body: { reason },
    answer: { row: { ...Sample.row, state: "cancelled" } },
    shows: [/^job_01\w+ is cancelled; 0\.000138 credits were charged\.$/]
  },
  {
    argv: ["nodes", "list"],
    asks: "GET /control/nodes",
    answer: { data: [Sample.nodeLine] },
    shows: [
      /^NODE/,
      /^0x\w+ +swift +active +online +2\/32 +- +sim-small,sim-embed +paused until 2026-11-25T04:11:39\.043Z/
    ]
  },
  ...["pause", "freeze", "shadow-ban", "maintenance"].map((verb) => ({
    argv: ["nodes", verb, NODE, ...REASON, "--until", "2027-01-01"],
    asks: `POST /control/nodes/${NODE}/${verb}`,
    body: { reason, until: Date.UTC(2027, 0, 1) },
    answer: { node: { ...Sample.nodeRow, restrictions: [{ kind: "paused", until: null }] } },
    shows: [/^0x\w+ is paused\.$/]
  })),
  ...["resume", "unfreeze", "reinstate"].map((verb) => ({
    argv: ["nodes", verb, NODE, ...REASON],
    asks: `POST /control/nodes/${NODE}/${verb}`,
    body: { reason },
    answer: { node: Sample.nodeRow },
    shows: [/^0x\w+ is unrestricted\.$/]
  })),
  {
    argv: ["nodes", "drain", NODE, ...REASON],
    asks: `POST /control/nodes/${NODE}/drain`,
    body: { reason },
    answer: { nodeId: NODE, draining: true },
    shows: [/^0x\w+ takes nothing new/]
  },
  {
    argv: ["namespaces", "list"],
    asks: "GET /control/namespaces",
    answer: { data: [Sample.namespace] },
    shows: [/^NAMESPACE/, /^ns_\w+ +shop +testnet +yes +3 +10000 +30 days +dropped +2026/]
  },
  {
    argv: ["namespaces", "create", "web shop", "--urgent", "--weight", "3", "--drop-payloads", ...REASON],
    asks: "POST /control/namespaces",
    body: {
      name: "web shop",
      environment: "testnet",
      rules: { urgent: true, weight: 3, persistPayloads: false },
      reason
    },
    answer: { namespace: Sample.namespace },
    shows: [/^ns_\w+ is shop on testnet\./]
  },
  {
    argv: ["namespaces", "create", "lab", "--environment", "mainnet", ...REASON],
    asks: "POST /control/namespaces",
    body: { name: "lab", environment: "mainnet", reason },
    answer: { namespace: Sample.namespace },
    shows: [/^ns_/]
  },
  {
    argv: ["keys", "create", NS, "--label", "shop", "--rate", "5", "--expires", "1798761600000"],
    asks: "POST /control/keys",
    body: {
      namespaceId: NS,
      label: "shop",
      ratePerSecond: 5,
      expiresAt: 1_798_761_600_000,
      reason: "by resultity CLI"
    },
    answer: { key: Sample.key, secret: "rsk-the-secret" },
    shows: [/^key_\w+ asks for ns_\w+\. Its secret is shown this once/, /^rsk-the-secret$/]
  },
  {
    argv: ["keys", "revoke", KEY, ...REASON],
    asks: `POST /control/keys/${KEY}/revoke`,
    body: { reason },
    answer: { key: Sample.key },
    shows: [/^key_\w+ is revoked since 2026-11-25T04:11:39\.047Z\.$/]
  },
  {
    argv: ["keys", "list", "--namespace", NS],
    asks: `GET /control/keys?namespace=${NS}`,
    answer: { data: [Sample.key] },
    shows: [/^KEY/, /^key_\w+ +ns_\w+ +shop +rsk-D5SRNG6B… +5 +2026\S+ +- +2026\S+$/]
  },
  {
    argv: ["credits", "grant", NS, "12.5", "--reference", "invoice-1", ...REASON],
    asks: `POST /control/namespaces/${NS}/grant`,
    body: { amount: "12.5", reference: "invoice-1", reason },
    answer: Sample.balance,
    shows: [/^The grant invoice-1 stands; ns_\w+ has 12\.4 credits available\.$/]
  },
  {
    argv: ["credits", "balance", NS],
    asks: `GET /control/namespaces/${NS}/balance`,
    answer: Sample.balance,
    shows: [/^granted +12\.5$/, /^available +12\.4$/, /^reserved +0$/, /^spent +0\.1$/]
  },
  {
    argv: ["daemons"],
    asks: "GET /control/daemons",
    answer: { data: [{ id: "daemon_1", state: "live", startedAt: 0, beatAt: 1000, here: true }] },
    shows: [/^DAEMON/, /^daemon_1 \(here\) +live +1970\S+ +1970\S+$/]
  },
  {
    argv: ["sweepers"],
    asks: "GET /control/sweepers",
    answer: { data: [Sample.sweeper] },
    shows: [/^SWEEPER/, /^expiry +daemon_1 \(here\) +500 +2026\S+ +7 +-$/]
  },
  {
    argv: ["sweep", "expiry", "--dry-run"],
    asks: "POST /control/sweepers/expiry/sweep?dry_run=true",
    body: { reason: "by resultity CLI" },
    answer: { name: "expiry", dryRun: true, swept: 3, detail: { oldest: 12 } },
    shows: [/^expiry would take 3\.$/, /^oldest +12$/]
  },
  {
    argv: ["sweep", "expiry", "--no-wait", ...REASON],
    asks: "POST /control/sweepers/expiry/sweep?background=true",
    body: { reason },
    answer: { work: work({ kind: "sweep.expiry" }) },
    shows: [/^work_01\w+ runs/]
  },
  {
    argv: ["archive", "list"],
    asks: "GET /control/archives",
    answer: { data: [Sample.segment] },
    shows: [/^SEGMENT/, /^seg_\w+ +jobs +ns_\w+ +2 +512 +2026/]
  },
  {
    argv: ["archive", "verify", SEGMENT, ...REASON],
    asks: `POST /control/archives/${SEGMENT}/verify`,
    body: { reason },
    answer: { segment: Sample.segment, ok: true },
    shows: [/^seg_\w+ is whole: 2 lines, SHA-256 a+\.$/]
  },
  {
    argv: ["actors"],
    asks: "GET /control/actors",
    answer: Sample.actors,
    shows: [/^ACTOR/, /^daemon +supervisor/, /^ {2}nodes /, /^ {4}node\/0x/]
  },
  {
    argv: ["lanes"],
    asks: "GET /control/lanes",
    answer: Sample.lanes,
    shows: [/^LANE/, /^lane\.testnet\.global\.sim-small\.normal +8 +2026\S+ +1 +7 +1$/]
  },
  {
    argv: ["settings", "show"],
    asks: "GET /control/settings",
    answer: Sample.settings,
    shows: [/^version +3$/, /^prices\.llama-3\.1\.perOutputToken +2$/, /^aliases +none$/, /^outputTokensDefault +2048$/]
  },
  {
    argv: ["settings", "set", "outputTokensDefault=2048", "aliases.gpt-4.1=sim-small", ...REASON],
    asks: "POST /control/settings",
    body: { changes: { outputTokensDefault: 2048, aliases: { "gpt-4.1": "sim-small" } }, reason },
    answer: Sample.settings,
    shows: [/^The settings are version 3 now, digest 546a\.$/]
  }
]

describe("a command", () => {
  for (const { argv, asks, body, answer, shows } of CASES) {
    it.live(`asks and shows, when it is ${argv.slice(0, 2).join(" ")} (${asks})`, () =>
      Effect.gen(function* () {
        const control = yield* fake
        control.answer({ json: answer })
        const { exit, out, err } = yield* callAt(control, ...argv)
        assert.strictEqual(err, "")
        assert.strictEqual(exit, 0)
        assert.strictEqual(`${control.asked[0]?.method} ${control.asked[0]?.path}`, asks)
        assert.deepStrictEqual(control.asked[0]?.body, body ?? null)
        const lines = out.split("\n")
        assert.strictEqual(lines.pop(), "", "the last line is ended")
        let at = 0
        for (const line of shows) {
          const found = lines.findIndex((text, index) => index >= at && line.test(text))
          assert.isAtLeast(found, 0, `${line} in\n${out}`)
          at = found + 1
        }
      })
    )

    it.live(`hands the answer on as one document, when it is ${argv.slice(0, 2).join(" ")} --json (${asks})`, () =>
      Effect.gen(function* () {
        const control = yield* fake
        control.answer({ json: answer })
        const { exit, out, err } = yield* callAt(control, "--json", ...argv)
        assert.deepStrictEqual([exit, err], [0, ""])
        assert.deepStrictEqual(JSON.parse(out), answer)
        assert.strictEqual(out.indexOf("\n"), out.length - 1)
      })
    )
  }

  it("is covered here, whichever it is", () => {
    const elsewhere = new Set(["jobs tail", "jobs export", "jobs receipt", "archive cat", "archive restore"])
    for (const name of ["snapshot export", "snapshot restore", "snapshot fork", "receipt verify"]) elsewhere.add(name)
    const covered = CASES.map(({ argv }) => argv)
    for (const { path } of COMMANDS) {
      const name = path.join(" ")
      const isCovered = covered.some((argv) => path.every((word, at) => argv[at] === word))
      assert.isTrue(isCovered || elsewhere.has(name), name)
    }
  })

  it.live("hands the lines of an archive on as they are, with and without --json", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const text = '{"jobId":"job_1"}\n{"jobId":"job_2"}\n'
      control.answer({ text, type: "application/x-ndjson" }, { text, type: "application/x-ndjson" })
      assert.strictEqual((yield* callAt(control, "archive", "cat", SEGMENT)).out, text)
      assert.strictEqual((yield* callAt(control, "archive", "cat", SEGMENT, "--json")).out, text)
      assert.strictEqual(control.asked[0]?.path, `/control/archives/${SEGMENT}`)
    })
  )

  it.live("says that there is nothing, when there is nothing", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const nothing = { json: { data: [], nextCursor: null, waiting: [], depths: [] } }
      const lists = [
        ["jobs", "list"],
        ["jobs", "list", "--all"],
        ["nodes", "list"],
        ["namespaces", "list"],
        ["keys", "list"],
        ["sweepers"],
        ["archive", "list"],
        ["receipt", "roots"],
        ["lanes"],
        ["logs"],
        ["webhooks", "list"],
        ["snapshot", "list"],
        ["works", "list"]
      ]
      for (const argv of lists) {
        control.answer(nothing)
        assert.match((yield* callAt(control, ...argv)).out, /^No|^Nothing/)
      }
    })
  )

  it.live("makes what a node or a customer wrote harmless, when it shows it", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer({ json: { data: [{ ...Sample.nodeLine, name: "a\u001b[2Jb\u202e" }] } })
      const { out } = yield* callAt(control, "nodes", "list")
      assert.include(out, "a\ufffd[2Jb\ufffd")
    })
  )

  it.live("sends ids that hold anything as one piece of the path", () =>
    Effect.gen(function* () {
      const control = yield* fake
      yield* callAt(control, "jobs", "show", "../a b/?c")
      assert.strictEqual(control.asked[0]?.path, "/control/jobs/..%2Fa%20b%2F%3Fc")
    })
  )

  it.live("gives every grant a name of its own, and another one the next time", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer({ json: Sample.balance }, { json: Sample.balance })
      yield* callAt(control, "credits", "grant", NS, "1", ...REASON)
      yield* callAt(control, "credits", "grant", NS, "1", ...REASON)
      const names = control.asked.map(({ body }) => (body as { readonly reference: string }).reference)
      assert.match(names[0] ?? "", /^cli-[0-9a-f-]{36}$/)
      assert.notStrictEqual(names[0], names[1])
    })
  )

  it.live("says how to repeat a grant, when nobody knows whether it was made", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer((response) => void response.destroy())
      const { exit, err } = yield* callAt(control, "credits", "grant", NS, "1", ...REASON)
      assert.strictEqual(exit, 3)
      assert.match(err, /^unreachable: .* Repeat it with --reference cli-\S+: that cannot grant twice\.\n$/)
    })
  )
})

describe("jobs list --all", () => {
  const pages = (control: { readonly answer: (...answers: ReadonlyArray<{ readonly json: unknown }>) => void }) =>
    control.answer(
      { json: { data: [Sample.summary("job_1"), Sample.summary("job_2")], nextCursor: "c1" } },
      { json: { data: [], nextCursor: "c2" } },
      { json: { data: [Sample.summary("job_3")], nextCursor: null } }
    )

  it.live("follows the cursors with the filters it was given, under one head", () =>
    Effect.gen(function* () {
      const control = yield* fake
      pages(control)
      const { out } = yield* callAt(control, "jobs", "list", "--all", "--model", "sim small", "--from", String(AT))
      const query = `/control/jobs?model=sim+small&from=${AT}&limit=100`
      assert.deepStrictEqual(
        control.asked.map(({ path }) => path),
        [query, `${query}&cursor=c1`, `${query}&cursor=c2`]
      )
      assert.deepStrictEqual(
        out.split("\n").map((line) => line.split(" ")[0]),
        ["JOB", "job_1", "job_2", "job_3", ""]
      )
    })
  )

  it.live("is one document, when it is asked for with --json", () =>
    Effect.gen(function* () {
      const control = yield* fake
      pages(control)
      const { out } = yield* callAt(control, "jobs", "list", "--all", "--json")
      assert.deepStrictEqual(JSON.parse(out), {
        data: ["job_1", "job_2", "job_3"].map(Sample.summary),
        nextCursor: null
      })
    })
  )

  it.live("is what a single page hints at, when there is more", () =>
    Effect.gen(function* () {
      const control = yield* fake
      pages(control)
      const { exit, err } = yield* callAt(control, "jobs", "list", "--limit", "2")
      assert.deepStrictEqual([exit, err], [0, "There are more: --cursor c1, or --all\n"])
    })
  )
})
