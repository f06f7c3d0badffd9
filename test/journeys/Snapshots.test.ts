/** Snapshots with real daemons: the page's commands as they stand, and what becomes of jobs that were open when their state was taken. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync, symlinkSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"
import type { JobView } from "../../src/schemas/openai/JobView.ts"
import type { WorkView } from "../../src/schemas/Work.ts"
import { ask, type Daemon, look, order, startDaemon } from "../support/Daemon.ts"
import { controlJob, findings } from "../support/Invariants.ts"
import { allActive } from "../support/Nodes.ts"
import { COMMAND, ROOT, run, temporaryFolder } from "../support/Process.ts"
import { chatBody } from "../support/Texts.ts"
import { until } from "../support/Until.ts"

const page = readFileSync(join(ROOT, "docs/operations/snapshots.md"), "utf8")
const blocks = [...page.matchAll(/```sh\n([^]*?)```/g)].map(([, text = ""]) => text)

const resultity = async (...args: ReadonlyArray<string>) => {
  const command = run(args.slice(0, 2).join(" "), [COMMAND, ...args])
  const { code } = await command.exited
  return { code, text: command.lines.join("\n") }
}

const snapshot = async (daemon: Daemon) => {
  const { work } = await order<{ work: WorkView }>(daemon, "/control/snapshots")
  await until("the snapshot is made", async () => {
    const { work: now } = await look<{ work: WorkView }>(daemon, `/control/works/${work.id}`)
    return now.state === "done"
  })
}

interface Head {
  readonly state: string
  readonly rows: number
}

describe("snapshots", () => {
  it("S13: the page on snapshots shows commands that work as they are", async () => {
    const folder = temporaryFolder()
    for (const name of ["node_modules", "package.json", "bin", "src"]) symlinkSync(join(ROOT, name), join(folder, name))
    const daemon = await startDaemon({ data: join(folder, "data"), nodes: ["swift"] })
    await allActive(daemon, ["swift"])
    for (let n = 0; n < 3; n++) await ask(daemon, "POST", "/v1/chat/completions", { body: chatBody(`Hello ${n}`) })
    assert.isAtLeast(blocks.length, 5)
    const said: Array<string> = []
    for (const block of blocks) {
      const command = run(block.split("\n")[0] ?? "", ["-e", "-o", "pipefail", "-c", block], {
        command: "bash",
        cwd: folder,
        env: {
          PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}`,
          RESULTITY_CONTROL_URL: daemon.controlUrl
        },
        group: true
      })
      const { code } = await command.exited
      assert.strictEqual(code, 0, `${block}\n${command.lines.join("\n")}`)
      said.push(command.lines.join("\n"))
    }
    const all = said.join("\n")
    assert.include(all, "Snapshot 2 is whole")
    assert.include(all, "Snapshot 2 is in")
    assert.include(all, "mainnet")
    assert.notInclude(readFileSync(join(folder, "state.car"), "latin1"), "Hello 1")
  })

  it("without cold storage none is made, and the reason is said", async () => {
    const daemon = await startDaemon({ args: ["--cold-storage", "none"] })
    const { code, text } = await resultity("snapshot", "create", "--reason", "x", "--control", daemon.controlUrl)
    assert.notStrictEqual(code, 0)
    assert.match(text, /not_available: .*cold storage/)
    const { data: works } = await look<{ data: ReadonlyArray<unknown> }>(daemon, "/control/works")
    assert.deepStrictEqual(works, [])
  })

  it("B32, C40: jobs that were open end or go on in the restored network, no credit is lost, and the original goes on", async () => {
    const original = await startDaemon({ nodes: ["steady"] })
    await allActive(original, ["steady"])
    await ask(original, "POST", "/v1/chat/completions", { body: chatBody("Done before") })
    const headers = { prefer: "respond-async" }
    const open: Array<string> = []
    for (let n = 0; n < 6; n++) {
      const body = chatBody(`Open ${n}`, { min_tokens: 100 })
      open.push((await ask<JobView>(original, "POST", "/v1/chat/completions", { body, headers })).body.id)
    }
    await snapshot(original)
    const { data } = await look<{ data: ReadonlyArray<Head> }>(original, "/control/snapshots")
    assert.isAbove(data[0]?.rows ?? 0, 10)
    const archive = join(original.data, "archive")
    const used = await resultity("snapshot", "restore", "--from", archive, "--data", original.data)
    assert.strictEqual(used.code, 5, used.text)

    for (const environment of ["testnet", "mainnet"]) {
      const place = join(temporaryFolder(), environment)
      const how = environment === "testnet" ? ["restore"] : ["fork", "--environment", environment, "--keep-keys"]
      const made = await resultity("snapshot", ...how, "--from", archive, "--data", place)
      assert.strictEqual(made.code, 0, made.text)
      const again = await resultity("snapshot", "restore", "--from", archive, "--data", place)
      assert.strictEqual(again.code, 5, again.text)

      const args = [`--environment=${environment}`]
      const daemon = { ...(await startDaemon({ data: place, nodes: ["swift"], args })), key: original.key }
      await allActive(daemon, ["swift"])
      const answer = await ask(daemon, "POST", "/v1/chat/completions", { body: chatBody("Is anybody there?") })
      assert.strictEqual(answer.status, 200)
      for (const jobId of open) {
        await until(`${jobId} is over in ${environment}`, async () => {
          const { row } = await controlJob(daemon, jobId)
          return row.state !== "queued" && row.state !== "active"
        })
        // Their prompts are of the record store, which nobody restored.
        const { row } = await controlJob(daemon, jobId)
        assert.deepInclude(row, { state: "failed", charged: "0" })
        assert.match(row.errorCode ?? "", /^record_/)
      }
      const { ok } = await look<{ ok: boolean }>(daemon, "/control/ledger/audit")
      assert.isTrue(ok)
    }
    assert.deepStrictEqual(await findings(original), [])
  })
})
