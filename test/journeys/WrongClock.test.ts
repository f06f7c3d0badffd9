/** A daemon of a cluster on a machine whose clock is two hours ahead: it goes by the store's. */
import { assert, describe, it } from "@effect/vitest"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { JobView } from "../../src/schemas/openai/JobView.ts"
import { missingServers, startCluster, whySkipped } from "../support/Cluster.ts"
import { ask } from "../support/Daemon.ts"
import { allEnded, controlJob, findings } from "../support/Invariants.ts"
import { allActive, startNode } from "../support/Nodes.ts"
import { temporaryFolder } from "../support/Process.ts"
import { chatBody } from "../support/Texts.ts"

const HOUR = 3_600_000
const SHIFT = pathToFileURL(join(import.meta.dirname, "../rig/ClockShift.ts")).href

describe.skipIf(missingServers.length > 0)(`a daemon whose machine's clock is wrong${whySkipped}`, () => {
  it("accepts, runs and dates jobs by the clock that all daemons share", async () => {
    const cluster = await startCluster({ daemons: 1 })
    const [right] = cluster.daemons
    if (right === undefined) throw new Error("one daemon was asked for")
    const clock = join(temporaryFolder(), "clock")
    writeFileSync(clock, String(2 * HOUR))
    const wrong = await cluster.start({ env: { NODE_OPTIONS: `--import=${SHIFT}`, RIG_CLOCK_FILE: clock } })
    startNode(wrong.nodesUrl, { name: "only" })
    await allActive(right, ["only"])
    const headers = { prefer: "respond-async" }
    for (const [admits, follows] of [
      [wrong, right],
      [right, wrong]
    ] as const) {
      const { body: job } = await ask<JobView>(admits, "POST", "/v1/chat/completions", {
        body: chatBody("what time is it?"),
        headers
      })
      await allEnded(follows)
      const { row, events } = await controlJob(follows, job.id)
      assert.strictEqual(row.state, "completed")
      for (const { at, to } of events) assert.isBelow(Math.abs(at - Date.now()), HOUR, to)
    }
    assert.deepStrictEqual(await findings(wrong), [])
  })
})
