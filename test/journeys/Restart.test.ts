/**
 * A daemon that dies in the middle of streams and is started again on the same folder; and one that is asked to stop. Nodes are once part of
 * the daemon's process and die with it, once processes of their own that go on.
 */
import { assert, describe, it } from "@effect/vitest"
import type { JobView } from "../../src/schemas/openai/JobView.ts"
import { ask, balance, client, type Daemon, open, order, startDaemon } from "../support/Daemon.ts"
import { allEnded, allJobs, controlJob, findings } from "../support/Invariants.ts"
import { activeNode, allActive, startNode } from "../support/Nodes.ts"
import { temporaryFolder } from "../support/Process.ts"
import { beginReading, readOn, type Reading } from "../support/Reader.ts"
import { makeReign, type Reign } from "../support/Reign.ts"
import { sseEvents } from "../support/Sse.ts"
import { answerTo, type ChatBody, chatBody } from "../support/Texts.ts"

const STREAMS = 6

interface Submitted {
  readonly body: ChatBody
  readonly reading: Reading
  readonly done: Promise<unknown>
}

/** Jobs that are read by event id; resolves when each has said so many pieces and is not over. */
const inTheMiddle = async (reign: Reign, pieces: number): Promise<ReadonlyArray<Submitted>> => {
  const daemon = await reign.where()
  return Promise.all(
    Array.from({ length: STREAMS }, async (_, at) => {
      const body = chatBody(`Stream ${at}`, { min_tokens: 200 })
      const { body: job } = await ask<JobView>(daemon, "POST", "/v1/chat/completions", {
        body,
        headers: { prefer: "respond-async" }
      })
      const reading = beginReading(job.id)
      let heard: () => void = () => undefined
      const enough = new Promise<void>((resolve) => (heard = resolve))
      const done = readOn(reading, reign.where, () => {
        if (reading.position === pieces) heard()
      })
      await Promise.race([enough, done])
      assert.isNull(reading.ended)
      return { body, reading, done }
    })
  )
}

const checkWhole = async (daemon: Daemon, submitted: ReadonlyArray<Submitted>) => {
  for (const { body, reading, done } of submitted) {
    await done
    const { text, pieces } = answerTo(body)
    assert.strictEqual(reading.ended?.state, "completed")
    assert.strictEqual(reading.texts[0], text)
    assert.strictEqual(reading.ended?.usage.output_tokens, pieces.length)
    assert.isAtLeast(reading.connections, 2)
    const { row, record } = await controlJob(daemon, reading.jobId)
    assert.isAtLeast(row.crashes, 1)
    assert.strictEqual(record?.completeness, "complete")
    const result = await ask<Completion>(daemon, "GET", `/v1/jobs/${reading.jobId}/result`)
    assert.strictEqual(result.body.choices[0]?.message.content, text)
  }
  assert.deepStrictEqual(await findings(daemon), [])
}

interface Completion {
  readonly choices: ReadonlyArray<{ readonly message: { readonly content: string } }>
}

describe("a daemon that was killed in the middle of streams and is started again", () => {
  it("goes on with each of them, when its nodes died with it", async () => {
    const reign = await makeReign({ nodes: ["steady", "swift"] })
    const first = await reign.start()
    await allActive(first, ["steady", "swift"])
    const submitted = await inTheMiddle(reign, 20)
    await reign.kill()
    const second = await reign.start()
    assert.strictEqual(second.key, first.key)
    await checkWhole(second, submitted)
    const attempts = await Promise.all(submitted.map(({ reading }) => controlJob(second, reading.jobId)))
    for (const { row } of attempts) assert.isAtLeast(row.attempt, 2)
    assert.strictEqual((await balance(second)).reserved, 0n)
    const answer = await client(second).chat.completions.create({
      model: "sim-small",
      messages: [{ role: "user", content: "Still there?" }]
    })
    assert.strictEqual(answer.choices[0]?.message.content, answerTo(chatBody("Still there?")).text)
  })

  it("takes up the attempts of nodes that went on without it", async () => {
    const reign = await makeReign()
    const nodes = ["apart", "aside"].map((name) =>
      startNode(reign.nodesUrl, { name, character: { tokensPerSecond: 60 } })
    )
    const first = await reign.start()
    // How soon a node comes back is the machine's matter here, not the question.
    await order(first, "/control/settings", { changes: { graceMs: 60_000 } })
    await allActive(first, ["apart", "aside"])
    const submitted = await inTheMiddle(reign, 20)
    await reign.kill()
    const second = await reign.start()
    await checkWhole(second, submitted)
    const jobs = await Promise.all(submitted.map(({ reading }) => controlJob(second, reading.jobId)))
    // Adopted, not begun anew: the same attempt under another epoch.
    assert.deepStrictEqual(
      jobs.map(({ row, events }) => [row.attempt, events.map(({ kind }) => kind)]),
      jobs.map(() => [1, ["admitted", "claimed", "adopted", "finished"]])
    )
    for (const node of nodes) assert.strictEqual((await node.kill("SIGTERM")).code, 0)
  })

  it("lets a client of a plain stream go on from the last event id it saw", async () => {
    const reign = await makeReign({ nodes: ["steady"] })
    const first = await reign.start()
    await activeNode(first, "steady")
    const body = chatBody("An ordinary stream.", { min_tokens: 100 })
    const response = await open(first, "POST", "/v1/chat/completions", { body: { ...body, stream: true } })
    const jobId = response.headers.get("x-job-id") ?? ""
    let text = ""
    let last = ""
    const broken = await readUntilBroken()
    assert.isTrue(broken)
    assert.isTrue(answerTo(body).text.startsWith(text))
    await reign.start()
    const reading = beginReading(jobId, Number(last))
    await readOn(reading, reign.where)
    assert.strictEqual(text + (reading.texts[0] ?? ""), answerTo(body).text)

    async function readUntilBroken(): Promise<boolean> {
      try {
        for await (const { id, data } of sseEvents(response)) {
          if (id === "") continue
          last = id
          text += (JSON.parse(data) as Chunk).choices[0]?.delta.content ?? ""
          if (id === "10") await reign.kill()
        }
        return false
      } catch {
        return true
      }
    }
  })
})

interface Chunk {
  readonly choices: ReadonlyArray<{ readonly delta: { readonly content?: string } }>
}

describe("a daemon that is asked to stop", () => {
  it("finishes what runs, refuses what comes, leaves with exit code 0, and the next one goes on", async () => {
    const data = temporaryFolder()
    const first = await startDaemon({ data, nodes: ["steady"] })
    await activeNode(first, "steady")
    const body = chatBody("Before you go.", { min_tokens: 150 })
    const stream = await client(first).chat.completions.create({ ...body, messages: [...body.messages], stream: true })
    let text = ""
    let refused = 0
    for await (const chunk of stream) {
      if (text === "" && (chunk.choices[0]?.delta.content ?? "") !== "") {
        process.kill(first.pid, "SIGTERM")
        await first.line(/draining/)
        const late = await ask<{ error: { code: string } }>(first, "POST", "/v1/chat/completions", {
          body: chatBody("Too late?")
        })
        assert.strictEqual(late.body.error.code, "draining")
        assert.isNotNull(late.headers.get("retry-after"))
        refused = late.status
      }
      text += chunk.choices[0]?.delta.content ?? ""
    }
    assert.strictEqual(refused, 503)
    assert.strictEqual(text, answerTo(body).text)
    assert.deepStrictEqual(await first.exited, { code: 0, signal: null })
    const second = await startDaemon({ data, nodes: ["steady"] })
    await allEnded(second)
    // What was refused left no job behind.
    assert.lengthOf(await allJobs(second), 1)
    assert.deepStrictEqual(await findings(second), [])
    await activeNode(second, "steady")
    const answer = await ask(second, "POST", "/v1/chat/completions", { body: chatBody("And now?") })
    assert.strictEqual(answer.status, 200)
  })

  it("hands on what it cannot finish in time, and the next one ends it", async () => {
    const data = temporaryFolder()
    const first = await startDaemon({ data, nodes: ["steady"], args: ["--drain-ms", "100"] })
    await activeNode(first, "steady")
    const body = chatBody("This will take long.", { min_tokens: 300 })
    const { body: job } = await ask<JobView>(first, "POST", "/v1/chat/completions", {
      body,
      headers: { prefer: "respond-async" }
    })
    const reading = beginReading(job.id)
    let next: Promise<Daemon> | null = null
    const ended = await readOn(
      reading,
      () => next ?? Promise.resolve(first),
      () => {
        next ??= first.kill("SIGTERM").then(({ code }) => {
          assert.strictEqual(code, 0)
          return startDaemon({ data, nodes: ["steady"] })
        })
      }
    )
    assert.strictEqual(ended.state, "completed")
    assert.strictEqual(reading.texts[0], answerTo(body).text)
  })
})
