/**
 * The page about quality, followed by an administrator against a real daemon: its commands as they stand there, until the node has been asked, judged
 * and scored. And two daemons of a cluster, one of which judges a node that is connected to the other.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync, symlinkSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"
import type { Standing, Trial } from "../../src/schemas/Quality.ts"
import { missingServers, startCluster, whySkipped } from "../support/Cluster.ts"
import { type Daemon, look, order, startDaemon } from "../support/Daemon.ts"
import { activeNode, allActive, startNode } from "../support/Nodes.ts"
import { ROOT, run, temporaryFolder } from "../support/Process.ts"
import { until } from "../support/Until.ts"

const page = readFileSync(join(ROOT, "docs/operations/quality.md"), "utf8")
const blocks = [...page.matchAll(/```sh\n([^]*?)```/g)].map(([, text = ""]) => text)

const aClone = (): string => {
  const folder = temporaryFolder()
  for (const name of ["node_modules", "package.json", "bin", "src", "docs"])
    symlinkSync(join(ROOT, name), join(folder, name))
  return folder
}

const trialsOf = async (daemon: Daemon, query = "") =>
  (await look<{ readonly data: ReadonlyArray<Trial> }>(daemon, `/control/quality/trials${query}`)).data

const ended = async (daemon: Daemon) => (await trialsOf(daemon)).filter(({ endedAt }) => endedAt !== null)

describe("the page about quality", () => {
  it("shows the set that is there", () => {
    const [, shown] = /```json\n([^]*?)```/.exec(page) ?? []
    assert.strictEqual(shown, readFileSync(join(ROOT, "docs/operations/capitals.json"), "utf8"))
  })

  it("shows commands that work as they are, and a node that is asked, judged and scored", async () => {
    const folder = aClone()
    const daemon = await startDaemon({ data: join(folder, "data"), nodes: ["instant"] })
    await allActive(daemon, ["instant"])
    const env = {
      PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}`,
      RESULTITY_CONTROL_URL: daemon.controlUrl
    }
    assert.isAtLeast(blocks.length, 4)
    const said: Array<string> = []
    for (const block of blocks) {
      const command = run("quality", ["-e", "-o", "pipefail", "-c", block], { command: "bash", cwd: folder, env })
      const { code } = await command.exited
      assert.strictEqual(code, 0, `${block}\n${command.lines.join("\n")}`)
      said.push(command.lines.join("\n"))
    }
    assert.match(said[0] ?? "", /capitals is version 1 now, with 2 prompts\./)
    assert.match(said[0] ?? "", /expects \{"kind":"contains","all":\["Paris"\]\}/)

    await order(daemon, "/control/settings", { changes: { blindPerHour: 3600, quarantineBelow: 0 } })
    await until("a trial", async () => (await ended(daemon)).length > 0)
    // A simulated node knows no capitals.
    const [trial] = await ended(daemon)
    assert.deepInclude(trial, { kind: "blind", state: "failed", setVersion: 1, score: 0 })
    assert.strictEqual<string | null | undefined>(trial?.setId, "capitals")
    const scored = async () =>
      (await look<{ readonly data: ReadonlyArray<Standing> }>(daemon, "/control/quality/scores")).data
    await until("a score", async () => (await scored()).some(({ score }) => (score?.trials?.samples ?? 0) > 0))
    const jobs = await look<{ readonly data: ReadonlyArray<{ readonly jobId: string }> }>(
      daemon,
      `/control/nodes/${trial!.nodeId}/jobs`
    )
    assert.include(
      jobs.data.map(({ jobId }) => jobId),
      trial!.jobId
    )
    assert.notMatch(JSON.stringify(jobs), /ns_|trial|capitals/)
    await daemon.kill("SIGTERM")
  }, 120_000)
})

interface NodeShown {
  readonly node: { readonly restrictions: ReadonlyArray<{ readonly kind: string; readonly reason: string }> }
}

const isQuarantined = async (daemon: Daemon, nodeId: string) =>
  (await look<NodeShown>(daemon, `/control/nodes/${nodeId}`)).node.restrictions.some(
    ({ kind }) => kind === "quarantined"
  )

describe.skipIf(missingServers.length > 0)(`two daemons on the real servers${whySkipped}`, () => {
  it("send a node away that answers wrong, and let it in when it passes, wherever it is connected", async () => {
    const { daemons } = await startCluster({ daemons: 2 })
    const [first, second] = daemons as readonly [Daemon, Daemon]
    startNode(second.nodesUrl, { name: "asked" })
    const { nodeId } = await activeNode(first, "asked")
    const changes = {
      blindPerHour: 3600,
      retestPerHour: 3600,
      quarantineSamples: 2,
      quarantineBelow: 0.9,
      retestPasses: 2
    }
    await order(first, "/control/settings", { changes })
    const expecting = (max: number) => ({
      id: "anything",
      endpoint: "chat",
      models: "*",
      prompts: [{ id: "a", text: "Say something.", tokensMin: 8, expect: [{ kind: "length", min: 1, max }] }]
    })
    await order(first, "/control/quality/sets", expecting(1))
    await until("the quarantine", () => isQuarantined(first, nodeId), 90_000)
    const { data } = await look<{ readonly data: ReadonlyArray<{ readonly type: string }> }>(
      second,
      `/control/incidents?type=node_quarantined&subject=node/${nodeId}`
    )
    assert.strictEqual(data.length, 1)

    // From here on any answer is right.
    await order(second, "/control/quality/sets", expecting(100_000))
    await until("its return", async () => !(await isQuarantined(second, nodeId)), 90_000)
    const trials = await trialsOf(second, `?kind=retest&node=${nodeId}`)
    assert.isAtLeast(trials.filter(({ state }) => state === "passed").length, 2)
    assert.deepInclude(await look<object>(second, "/control/ledger/audit"), { ok: true, findings: [] })
  }, 240_000)
})
