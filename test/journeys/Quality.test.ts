/**
 * The page about quality, followed by an administrator against a real daemon: its commands as they stand there, until the node has been asked, judged
 * and scored.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync, symlinkSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"
import type { Standing, Trial } from "../../src/schemas/Quality.ts"
import { type Daemon, look, order, startDaemon } from "../support/Daemon.ts"
import { allActive } from "../support/Nodes.ts"
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
