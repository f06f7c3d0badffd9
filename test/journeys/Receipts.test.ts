/** A receipt as people get it: from a real daemon by the commands of the page, and verified long after by the package alone. */
import { assert, describe, it } from "@effect/vitest"
import { statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { missingServers, startCluster, whySkipped } from "../support/Cluster.ts"
import { bin } from "../cli/Bin.ts"
import { ask, type Daemon, look, open, startDaemon } from "../support/Daemon.ts"
import { activeNode, allActive, startNode } from "../support/Nodes.ts"
import { aClone, blocksOf, leading, runBlock } from "../support/PrintedCommands.ts"
import { temporaryFolder } from "../support/Process.ts"
import { chatBody } from "../support/Texts.ts"
import { until } from "../support/Until.ts"

const blocks = blocksOf("docs/operations/receipts.md")
const WORDS = "what nobody may find in a receipt"

const aJob = async (daemon: Daemon): Promise<string> => {
  const answer = await ask(daemon, "POST", "/v1/chat/completions", { body: chatBody(WORDS) })
  assert.strictEqual(answer.status, 200, JSON.stringify(answer.body))
  return answer.headers.get("x-job-id") ?? ""
}

describe("receipts", () => {
  it("are had and verified by the commands of the page, and verified without any daemon", async () => {
    const folder = aClone()
    const data = join(folder, "data")
    const daemon = await startDaemon({ data, nodes: ["instant"] })
    await allActive(daemon, ["instant"])
    await aJob(daemon)
    const addresses = [
      ["127.0.0.1:8400", daemon.url],
      ["127.0.0.1:8401", daemon.controlUrl]
    ] as const
    const env = { ...leading(folder, addresses), RESULTITY_CONTROL_URL: daemon.controlUrl }
    assert.isAtLeast(blocks.length, 3)
    const said: Array<string> = []
    for (const block of blocks) {
      const command = runBlock(block, folder, env)
      const { code } = await command.exited
      assert.strictEqual(code, 0, `${block}\n${command.lines.join("\n")}`)
      said.push(command.lines.join("\n"))
    }
    assert.match(said[0] ?? "", /The receipt of job_\w+ holds\.[^]*which you trust[^]*is stored as its receipt/)
    assert.strictEqual(said[1], "", "nothing that does not hold")
    assert.match(said[2] ?? "", /nk_\w+[^]*merkle/)
    assert.strictEqual(statSync(join(data, "network.key")).mode & 0o777, 0o600)
    await daemon.kill("SIGKILL")

    const alone = await runBlock("npx resultity receipt verify receipt.json", folder, env).exited
    assert.strictEqual(alone.code, 0)
  })

  it.skipIf(missingServers.length > 0)(
    `are the same from every daemon of a cluster with one key${whySkipped}`,
    async () => {
      const cluster = await startCluster({ daemons: 2, args: ["--network-key", "5".repeat(64)] })
      const [one, two] = cluster.daemons as [Daemon, Daemon]
      startNode(one.nodesUrl, { name: "only" })
      await activeNode(two, "only")
      const id = await aJob(two)
      const text = await until("a receipt", async () => {
        const answer = await open(one, "GET", `/v1/jobs/${id}/receipt`)
        return answer.status === 200 ? await answer.text() : undefined
      })
      assert.strictEqual(await (await open(two, "GET", `/v1/jobs/${id}/receipt`)).text(), text)
      assert.notInclude(text, WORDS)
      const { data } = await look<{ readonly data: ReadonlyArray<{ readonly daemons: number }> }>(
        one,
        "/control/network-keys"
      )
      assert.deepStrictEqual(
        data.map(({ daemons }) => daemons),
        [2]
      )
      const path = join(temporaryFolder(), "receipt.json")
      writeFileSync(path, text)
      const { code, out } = await bin(["receipt", "verify", path]).ended
      assert.strictEqual(code, 0, out)
      assert.match(out, /^result +yes +signed by node-1/m)
    }
  )
})
