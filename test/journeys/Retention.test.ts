/** The commands of the page on retention, run as they stand there against a daemon, and an erasure as a customer and an operator meet it. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync, symlinkSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"
import { startDaemon } from "../support/Daemon.ts"
import { allActive } from "../support/Nodes.ts"
import { ROOT, run, temporaryFolder } from "../support/Process.ts"

const NODES = ["instant"]
const blocks = [...readFileSync(join(ROOT, "docs/operations/retention.md"), "utf8").matchAll(/```sh\n([^]*?)```/g)].map(
  ([, text = ""]) => text
)

describe("the page on retention", () => {
  it("shows commands that work as they are, and DELETE forgets a job", async () => {
    const folder = temporaryFolder()
    for (const name of ["node_modules", "package.json", "bin", "src"]) symlinkSync(join(ROOT, name), join(folder, name))
    const daemon = await startDaemon({ data: join(folder, "data"), nodes: NODES })
    await allActive(daemon, NODES)
    const headers = { authorization: `Bearer ${daemon.key}`, "content-type": "application/json" }
    const answer = await fetch(`${daemon.url}/v1/chat/completions`, {
      method: "POST",
      headers,
      body: JSON.stringify({ model: "sim-small", messages: [{ role: "user", content: "forget me" }] })
    })
    const jobId = answer.headers.get("x-job-id")
    await answer.text()
    const erased = await fetch(`${daemon.url}/v1/jobs/${jobId}`, { method: "DELETE", headers })
    const stone = (await erased.json()) as { readonly erased: boolean; readonly sha256: string }
    assert.deepStrictEqual([erased.status, stone.erased, stone.sha256.length], [200, true, 64])
    const result = await fetch(`${daemon.url}/v1/jobs/${jobId}/result`, { headers })
    const gone = (await result.json()) as { readonly job: { readonly state: string } }
    assert.deepStrictEqual([result.status, gone.job.state], [410, "completed"])
    const env = {
      PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}`,
      RESULTITY_CONTROL_URL: daemon.controlUrl
    }
    assert.isAtLeast(blocks.length, 2)
    for (const block of blocks) {
      const args = ["-e", "-o", "pipefail", "-c", block]
      const command = run("page", args, { command: "bash", cwd: folder, env, group: true })
      const { code } = await command.exited
      assert.strictEqual(code, 0, `${block}\n${command.lines.join("\n")}`)
    }
  })
})
