/** Two daemons over the real servers, as operators run them: streams across daemons, a death in the middle, a rolling restart, a flushed Redis. */
import { assert, describe, it } from "@effect/vitest"
import type { JobView } from "../../src/schemas/openai/JobView.ts"
import { type Cluster, missingServers, startCluster, whySkipped } from "../support/Cluster.ts"
import { ask, balance, client, type Daemon, look, order } from "../support/Daemon.ts"
import { allEnded, controlJob, findings } from "../support/Invariants.ts"
import { startLoad, wrongAnswers } from "../support/Load.ts"
import { activeNode, allActive, nodeLines, startNode } from "../support/Nodes.ts"
import { beginReading, readOn } from "../support/Reader.ts"
import { answerTo, chatBody } from "../support/Texts.ts"
import { until } from "../support/Until.ts"

/** Streams of each daemon's clients; the issue's own figure is 100 each. */
const STREAMS = Number(process.env["RESULTITY_STREAMS"] ?? 30)

const twoDaemons = async (): Promise<readonly [Cluster, Daemon, Daemon]> => {
  const cluster = await startCluster({ daemons: 2 })
  const [first, second] = cluster.daemons
  if (first === undefined || second === undefined) throw new Error("two daemons were asked for")
  return [cluster, first, second]
}

const countPieces = async (openai: ReturnType<typeof client>, body: ReturnType<typeof chatBody>) => {
  const stream = await openai.chat.completions.create({ ...body, stream: true } as never)
  let text = ""
  let finish: string | null = null
  for await (const chunk of stream as unknown as AsyncIterable<{
    readonly choices: ReadonlyArray<{
      readonly delta: { readonly content?: string }
      readonly finish_reason: string | null
    }>
  }>) {
    text += chunk.choices[0]?.delta.content ?? ""
    finish = chunk.choices[0]?.finish_reason ?? finish
  }
  return { text, finish }
}

interface DaemonLines {
  readonly data: ReadonlyArray<{ readonly id: string; readonly here: boolean }>
}

describe.skipIf(missingServers.length > 0)(`two daemons on the real servers${whySkipped}`, () => {
  it("serve clients at each of them with nodes at one of them, streamed and not", async () => {
    const [, first, second] = await twoDaemons()
    startNode(first.nodesUrl, { name: "only" })
    await activeNode(second, "only")
    for (const daemon of [first, second]) {
      for (let number = 0; number < 6; number++) {
        const body = chatBody(`question ${number} at ${daemon.url}`)
        const { text, finish } = await countPieces(client(daemon), body)
        assert.deepStrictEqual([text, finish], [answerTo(body).text, "stop"])
        const whole = await client(daemon).chat.completions.create(body as never)
        assert.strictEqual(whole.choices[0]?.message.content, answerTo(body).text)
      }
    }
    await allEnded(first)
    assert.deepStrictEqual(await findings(second), [])
  })

  it("one killed with -9 in the middle of streams: the other's clients notice nothing, and jobs go on at the other", async () => {
    const [cluster, first, second] = await twoDaemons()
    const names = ["a", "b", "c", "d", "e", "f"]
    for (const name of names) startNode(cluster.nodeUrls, { name, slots: 64, character: { tokensPerSecond: 60 } })
    await allActive(second, names)
    // Clients of the survivor, by the official client: not one of their streams may break.
    const survivors = Array.from({ length: STREAMS }, async (_, number) => {
      const body = chatBody(`survivor ${number}`, { min_tokens: 200 })
      return { body, ...(await countPieces(client(second, { timeout: 120_000 }), body)) }
    })
    // Clients of the one that dies, by resumable events: they go on at the survivor.
    let dead = false
    const where = async () => (dead ? second : first)
    const resumed = Array.from({ length: STREAMS }, async (_, number) => {
      const body = chatBody(`resumed ${number}`, { min_tokens: 200 })
      const headers = { prefer: "respond-async" }
      const { body: job } = await ask<JobView>(first, "POST", "/v1/chat/completions", { body, headers })
      const reading = beginReading(job.id)
      return { body, reading, ended: readOn(reading, where) }
    })
    const readings = await Promise.all(resumed)
    await until("all of them to be in the middle", async () => readings.every(({ reading }) => reading.position >= 20))
    const victim = (await look<DaemonLines>(first, "/control/daemons")).data.find(({ here }) => here)?.id
    const looks = await Promise.all(readings.map(({ reading }) => controlJob(second, reading.jobId)))
    const orphans = looks.filter(({ row }) => row.state === "active" && row.owner === victim)
    dead = true
    await first.kill("SIGKILL")
    const killedAt = performance.now()
    const adopted = await Promise.all(
      orphans.map(async ({ row: { job } }) => {
        const isElsewhere = async () => (await controlJob(second, job.id)).row.owner !== victim
        await until("another owner, or the end", isElsewhere, 60_000)
        return performance.now() - killedAt
      })
    )
    for (const { body, reading, ended } of readings) {
      assert.strictEqual((await ended).state, "completed")
      assert.strictEqual(reading.texts[0], answerTo(body).text)
    }
    for (const { body, text, finish } of await Promise.all(survivors)) {
      assert.deepStrictEqual([text, finish], [answerTo(body).text, "stop"])
    }
    await allEnded(second)
    assert.deepStrictEqual(await findings(second), [])
    const { reserved } = await balance(second)
    assert.strictEqual(reserved, 0n)
    const sorted = adopted.toSorted((a, b) => a - b)
    const [median = 0, last = 0] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)]
    console.log(
      `Cluster: ${STREAMS} + ${STREAMS} streams, ${sorted.length} jobs of the dead daemon; adopted after ${Math.round(median)} ms (median), ${Math.round(last)} ms (last)`
    )
  })

  it("restarted one after the other under load: no job fails and every answer is whole", async () => {
    const [cluster, ...both] = await twoDaemons()
    const daemons = [...both]
    for (const name of ["a", "b", "c"])
      startNode(cluster.nodeUrls, { name, slots: 16, character: { tokensPerSecond: 100 } })
    await allActive(daemons[0]!, ["a", "b", "c"])
    const alive = new Set<Daemon>(daemons)
    let asked = 0
    const where = async () => {
      await until("a daemon that is up", async () => alive.size > 0)
      const all = [...alive]
      return all[asked++ % all.length]!
    }
    let drawn = 0
    const load = startLoad({ where }, { clients: 6, draw: () => (drawn += 0.37) % 1, wordsMin: 40 })
    await load.morePieces(200)
    for (const [place, daemon] of daemons.entries()) {
      alive.delete(daemon)
      const { code } = await daemon.kill("SIGTERM")
      assert.strictEqual(code, 0)
      const next = await cluster.start({ data: daemon.data, port: Number(new URL(daemon.url).port) })
      daemons[place] = next
      alive.add(next)
      await load.morePieces(200)
    }
    await load.finish()
    assert.isAbove(load.accepted.length, 10)
    assert.deepStrictEqual(wrongAnswers(load.accepted), [])
    assert.deepStrictEqual(
      load.accepted.filter(({ ended }) => ended.state !== "completed").map(({ ended }) => ended),
      []
    )
    await allEnded(daemons[0]!)
    assert.deepStrictEqual(await findings(daemons[0]!), [])
  })

  it("keep a frozen node frozen and lose no job, when Redis is flushed under load", async () => {
    const [cluster, first, second] = await twoDaemons()
    for (const name of ["good", "other", "frozen"]) startNode(cluster.nodeUrls, { name, slots: 16 })
    await allActive(first, ["good", "other", "frozen"])
    const frozen = await activeNode(first, "frozen")
    await order(second, `/control/nodes/${frozen.nodeId}/freeze`)
    const where = async () => ((drawn += 1) % 2 === 0 ? first : second)
    let drawn = 0
    const load = startLoad({ where }, { clients: 6, draw: () => 0.7, wordsMin: 20 })
    await load.morePieces(100)
    for (let times = 0; times < 3; times++) {
      await cluster.redis.flushdb()
      await load.morePieces(150)
    }
    await load.finish()
    assert.deepStrictEqual(wrongAnswers(load.accepted), [])
    assert.deepStrictEqual(
      load.accepted.filter(({ ended }) => ended.state !== "completed").map(({ ended }) => ended),
      []
    )
    const after = (await nodeLines(first)).find(({ nodeId }) => nodeId === frozen.nodeId)
    assert.deepStrictEqual(
      after?.restrictions.map(({ kind }) => kind),
      ["frozen"]
    )
    await allEnded(first)
    assert.deepStrictEqual(await findings(first), [])
  })
})
