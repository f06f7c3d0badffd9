/** Which store of a cluster sees what of one job: the same id everywhere, its text in one place only. */
import { assert, describe, it } from "@effect/vitest"
import { onTestFinished } from "vitest"
import type { JobView } from "../../src/schemas/openai/JobView.ts"
import { missingServers, startCluster, whySkipped } from "../support/Cluster.ts"
import { ask } from "../support/Daemon.ts"
import { urlOf } from "../support/Installation.ts"
import { allEnded } from "../support/Invariants.ts"
import { activeNode, startNode } from "../support/Nodes.ts"
import { holdersOf, inMongo, inPostgres, inRedis, tapBroker } from "../support/Stores.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { answerTo, chatBody } from "../support/Texts.ts"
import { until } from "../support/Until.ts"

interface Ready {
  readonly dependencies: ReadonlyArray<{ readonly name: string; readonly up: boolean; readonly latencyMs: number }>
}

const CANARY = "canary-of-the-question-8f1d"
const TAGGED = "canary-of-the-end-user-52c0"

describe.skipIf(missingServers.length > 0)(`the real servers${whySkipped}`, () => {
  it("S4, S19, S33: one job leaves a row, a document, a message and a lease under its id, and its text in the document alone", async () => {
    const { daemons, installation, redis } = await startCluster({ daemons: 1 })
    const [daemon] = daemons
    if (daemon === undefined) throw new Error("one daemon was asked for")
    const heard = await tapBroker(installation, [
      ["jobs", "lane.testnet.global.sim-small.normal"],
      ["events", "#"]
    ])
    startNode(daemon.nodesUrl, { name: "only", character: { tokensPerSecond: 40 } })
    const node = await activeNode(daemon, "only")

    const body = {
      ...chatBody(CANARY, { min_tokens: 60 }),
      user: TAGGED,
      tools: [{ type: "function", function: { name: CANARY } }]
    }
    const headers = { prefer: "respond-async" }
    const { body: job } = await ask<JobView>(daemon, "POST", "/v1/chat/completions", { body, headers })
    const leases = await until("its lease", async () => {
      const holders = holdersOf(await inRedis(redis, installation), job.id.slice("job_".length))
      return holders.length > 0 && holders
    })
    assert.isTrue(leases.some((key) => key.endsWith(`leases:${node.nodeId}`)))
    await allEnded(daemon)

    const documents = await inMongo(installation)
    const rows = await inPostgres(installation)
    const live = await inRedis(redis, installation)
    assert.includeMembers([...holdersOf(rows, job.id)], ["job", "job_event", "credit_entry"])
    assert.includeMembers([...holdersOf(documents, job.id)], ["jobs", "logs", "trace_heads"])
    assert.deepStrictEqual(holdersOf(heard(), job.id), ["events", "jobs"])

    const answer = answerTo(chatBody(CANARY, { min_tokens: 60 })).text
    const said = [CANARY, answer.slice(0, 60), answer.slice(-60)]
    assert.isTrue(said.slice(1).every((text) => holdersOf(documents, text).includes("jobs")))
    assert.deepStrictEqual(holdersOf(documents, CANARY), ["jobs"])
    for (const text of said) {
      assert.deepStrictEqual(holdersOf(rows, text), [])
      assert.deepStrictEqual(holdersOf(live, text), [])
      assert.deepStrictEqual(holdersOf(heard(), text), [])
    }
    assert.deepStrictEqual(holdersOf(documents, "credit_"), [])
    assert.deepStrictEqual(holdersOf(live, daemon.key), [])
    assert.deepStrictEqual(holdersOf(rows, daemon.key), [])
  })

  it("S6: answer for themselves: one that is away is named, and the daemon is not ready without it", async () => {
    const proxy = await TcpProxy.start({ host: "127.0.0.1", port: Number(new URL(urlOf("REDIS_URL")).port) })
    onTestFinished(() => proxy.stop())
    const url = new URL(urlOf("REDIS_URL"))
    url.port = String(proxy.port)
    const { daemons } = await startCluster({ daemons: 1, args: [`--redis-url=${url.href}`] })
    const [daemon] = daemons
    if (daemon === undefined) throw new Error("one daemon was asked for")
    const ready = async () => {
      const response = await fetch(`${daemon.controlUrl}/readyz`)
      const { dependencies } = (await response.json()) as Ready
      return { status: response.status, up: Object.fromEntries(dependencies.map(({ name, up }) => [name, up])) }
    }
    const all = { jobs: true, records: true, live: true, transport: true, archive: true }
    assert.deepStrictEqual(await ready(), { status: 200, up: all })
    await proxy.cut()
    const without = await until("the loss to be seen", async () => {
      const seen = await ready()
      return seen.status === 503 && seen
    })
    assert.deepStrictEqual(without.up, { ...all, live: false })
    await proxy.pass()
    await until("readiness", async () => (await ready()).status === 200)
  })
})
