/** Nodes come, go, break and are held back, while customers ask. */
import { assert, describe, it } from "@effect/vitest"
import type { JobTrace, JobView } from "../../src/schemas/openai/JobView.ts"
import {
  ask,
  balance,
  client,
  type Daemon,
  look,
  micro,
  newCustomer,
  open,
  order,
  startDaemon
} from "../support/Daemon.ts"
import { controlJob, findings } from "../support/Invariants.ts"
import { activeNode, nodeLines, startNode } from "../support/Nodes.ts"
import { beginReading, readOn, type Reading } from "../support/Reader.ts"
import { answerTo, type ChatBody, chatBody } from "../support/Texts.ts"
import { until } from "../support/Until.ts"

/** Two seconds of talk, so that what a test does in the middle is in the middle. */
const LONG = { min_tokens: 200 }
const SLOW = { character: { tokensPerSecond: 100 } }

/** A job that is read by events; `middle` resolves when it has said so many pieces. */
const follow = async (daemon: Daemon, body: ChatBody, pieces = 10, headers: Record<string, string> = {}) => {
  const { body: job } = await ask<JobView>(daemon, "POST", "/v1/chat/completions", {
    body,
    headers: { prefer: "respond-async", ...headers }
  })
  const reading = beginReading(job.id)
  let heard: () => void = () => undefined
  const middle = new Promise<void>((resolve) => (heard = resolve))
  const done = readOn(
    reading,
    async () => daemon,
    () => {
      if (reading.position === pieces) heard()
    }
  )
  return { jobId: job.id, reading, middle, done }
}

const checkText = (reading: Reading, body: ChatBody) => assert.strictEqual(reading.texts[0], answerTo(body).text)

describe("a fleet", () => {
  it("is what the list of models says: nobody, then somebody, then nobody again", async () => {
    const daemon = await startDaemon()
    const openai = client(daemon)
    const models = async () => (await openai.models.list()).data.map(({ id }) => id).toSorted()
    assert.deepStrictEqual(await models(), [])
    const node = startNode(daemon.nodesUrl, { name: "only" })
    await until("the models", async () => (await models()).length === 2)
    // Who is listed has passed its test: it serves at once.
    assert.strictEqual((await ask(daemon, "POST", "/v1/chat/completions", { body: chatBody("Hi.") })).status, 200)
    assert.strictEqual((await node.kill("SIGTERM")).code, 0)
    await until("the models to go", async () => (await models()).length === 0)
  })

  it("moves a job to another node when its node is killed, from the text that was said", async () => {
    const daemon = await startDaemon()
    const first = startNode(daemon.nodesUrl, { name: "first", ...SLOW })
    startNode(daemon.nodesUrl, { name: "second", ...SLOW })
    await activeNode(daemon, "first")
    const { nodeId } = await activeNode(daemon, "second")
    await order(daemon, `/control/nodes/${nodeId}/maintenance`)
    const body = chatBody("Whatever happens.", LONG)
    const { jobId, reading, middle, done } = await follow(daemon, body)
    await middle
    await order(daemon, `/control/nodes/${nodeId}/reinstate`)
    await first.kill("SIGKILL")
    assert.strictEqual((await done).state, "completed")
    checkText(reading, body)
    const { body: trace } = await ask<JobTrace>(daemon, "GET", `/v1/jobs/${jobId}/trace`)
    assert.deepStrictEqual(
      trace.attempts.map(({ node, state }) => [node, state]),
      [
        ["node-1", "failed"],
        ["node-2", "succeeded"]
      ]
    )
    assert.isAbove(trace.attempts[0]?.tokens ?? 0, 0)
    const { record } = await controlJob(daemon, jobId)
    assert.strictEqual(record?.routing.fallbacks.length, 1)
    assert.strictEqual((await done).usage.output_tokens, answerTo(body).pieces.length)
    assert.deepStrictEqual(await findings(daemon), [])
  })

  it("gives a paused node nothing new, lets a draining one finish, and moves what a frozen one runs", async () => {
    const daemon = await startDaemon()
    for (const name of ["one", "two"]) startNode(daemon.nodesUrl, { name, ...SLOW })
    const one = await activeNode(daemon, "one")
    const two = await activeNode(daemon, "two")
    const nodeOf = (jobId: string) => lastNode(daemon, jobId)

    await order(daemon, `/control/nodes/${one.nodeId}/pause`)
    const paused = await follow(daemon, chatBody("Not to the first."))
    await paused.done
    assert.strictEqual(await nodeOf(paused.jobId), two.nodeId)
    await order(daemon, `/control/nodes/${one.nodeId}/resume`)

    await order(daemon, `/control/nodes/${one.nodeId}/maintenance`)
    const body = chatBody("To be moved.", LONG)
    const frozen = await follow(daemon, body)
    await frozen.middle
    await order(daemon, `/control/nodes/${one.nodeId}/reinstate`)
    await order(daemon, `/control/nodes/${two.nodeId}/freeze`)
    assert.strictEqual((await frozen.done).state, "completed")
    checkText(frozen.reading, body)
    assert.strictEqual(await nodeOf(frozen.jobId), one.nodeId)

    const last = chatBody("Let me finish.", LONG)
    const draining = await follow(daemon, last)
    await draining.middle
    await order(daemon, `/control/nodes/${one.nodeId}/drain`)
    assert.strictEqual((await draining.done).state, "completed")
    checkText(draining.reading, last)
    assert.strictEqual(await nodeOf(draining.jobId), one.nodeId)
    await until(
      "the drained node to leave",
      async () => (await nodeLines(daemon)).find(({ name }) => name === "one")?.link === "offline"
    )
    const held = (await nodeLines(daemon)).find(({ name }) => name === "two")?.restrictions
    assert.deepStrictEqual(
      held?.map(({ kind }) => kind),
      ["frozen"]
    )
  })

  it("tells the node when a job is cancelled or its stream is dropped, and only what was produced is paid", async () => {
    const daemon = await startDaemon()
    startNode(daemon.nodesUrl, { name: "only", ...SLOW })
    const { nodeId } = await activeNode(daemon, "only")
    const free = () =>
      until("the slot to be free", async () => (await nodeLines(daemon)).every(({ leased }) => leased === 0))

    const cancelled = await follow(daemon, chatBody("Never mind.", LONG))
    await cancelled.middle
    const answer = await ask<JobView>(daemon, "POST", `/v1/jobs/${cancelled.jobId}/cancel`)
    assert.strictEqual(answer.body.state, "cancelled")
    const { usage, cost } = await cancelled.done
    assert.strictEqual(usage.output_tokens, cancelled.reading.position)
    assert.strictEqual(micro(cost), 3n * BigInt(cancelled.reading.position))
    await free()

    const leaving = new AbortController()
    const stream = await open(daemon, "POST", "/v1/chat/completions", {
      body: { ...chatBody("I am leaving.", LONG), stream: true },
      signal: leaving.signal
    })
    const jobId = stream.headers.get("x-job-id") ?? ""
    leaving.abort()
    const dropped = await until("the job to end", async () => {
      const { row } = await controlJob(daemon, jobId)
      return row.state === "cancelled" ? row : null
    })
    assert.strictEqual(dropped.errorCode, "client_gone")
    assert.isBelow(dropped.usage.outputTokens, 200)
    await free()
    const { presence } = await look<{ presence: { leased: number } }>(daemon, `/control/nodes/${nodeId}`)
    assert.strictEqual(presence.leased, 0)
    assert.deepStrictEqual(await findings(daemon), [])
  })
})

describe("a customer", () => {
  it("is made by an operator, serves himself at once, and pays from a balance of his own", async () => {
    const daemon = await startDaemon({ nodes: ["swift"] })
    await activeNode(daemon, "swift")
    const before = await balance(daemon)
    const customer = await newCustomer(daemon, { name: "second", credits: "2.5" })
    await client(daemon, { apiKey: customer.key }).chat.completions.create({
      model: "sim-small",
      messages: [{ role: "user", content: "Mine." }]
    })
    const after = await balance(daemon, customer.key)
    assert.strictEqual(after.granted, 2_500_000n)
    assert.isAbove(Number(after.spent), 0)
    assert.deepStrictEqual(await balance(daemon), before)
  })

  it("gets one job and one charge for one Idempotency-Key, and is told when the body is another", async () => {
    const daemon = await startDaemon({ nodes: ["swift"] })
    await activeNode(daemon, "swift")
    const headers = { "idempotency-key": "order-1" }
    const body = chatBody("Once.")
    const answers = await Promise.all(
      [1, 2, 3].map(() => ask<{ id: string }>(daemon, "POST", "/v1/chat/completions", { body, headers }))
    )
    const again = await ask<{ id: string }>(daemon, "POST", "/v1/chat/completions", { body, headers })
    assert.deepStrictEqual(
      [...answers, again].map(({ status }) => status),
      [200, 200, 200, 200]
    )
    assert.strictEqual(new Set([...answers, again].map(({ headers }) => headers.get("x-job-id"))).size, 1)
    assert.strictEqual(new Set([...answers, again].map(({ body }) => JSON.stringify(body))).size, 1)
    const { row } = await controlJob(daemon, again.headers.get("x-job-id") ?? "")
    assert.strictEqual((await balance(daemon)).spent, micro(row.charged))
    const other = await ask<{ error: { code: string } }>(daemon, "POST", "/v1/chat/completions", {
      body: chatBody("Twice."),
      headers
    })
    assert.deepStrictEqual([other.status, other.body.error.code], [422, "idempotency_mismatch"])
  })
})

const lastNode = async (daemon: Daemon, jobId: string) =>
  (await controlJob(daemon, jobId)).record?.routing.attempts.at(-1)?.nodeId
