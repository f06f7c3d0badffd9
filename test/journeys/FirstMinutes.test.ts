/**
 * The first minutes of a newcomer with a daemon as `npm start` starts it: the ready line, the printed curl as printed, the official client, and
 * what it cost.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { expectedAnswer, expectedEmbedding } from "../../src/agent/SimulatedAnswer.ts"
import type { JobList, JobTrace, JobView, UsageView } from "../../src/schemas/openai/JobView.ts"
import { collect } from "../support/Collect.ts"
import { ask, balance, client, type Daemon, look, micro, open, startDaemon } from "../support/Daemon.ts"
import { allActive } from "../support/Nodes.ts"
import { sseEvents } from "../support/Sse.ts"
import { answerTo, chatBody } from "../support/Texts.ts"
import { until } from "../support/Until.ts"

const exec = promisify(execFile)
const NODES = ["swift", "steady", "flaky"]

/** The command as a person would copy it: from the first line that begins with `curl` to the first that goes on no further. */
const printedCommand = (lines: ReadonlyArray<string>): string | null => {
  const first = lines.findIndex((line) => line.trimStart().startsWith("curl "))
  const last = first === -1 ? -1 : lines.findIndex((line, at) => at >= first && line !== "" && !line.endsWith("\\"))
  return last === -1 ? null : lines.slice(first, last + 1).join("\n")
}

describe("a newcomer", () => {
  it("gets a stream from the printed curl, run as printed the moment it is there", async () => {
    const daemon = await startDaemon({ nodes: NODES })
    const command = await until("the printed curl", () => printedCommand(daemon.lines))
    const { stdout } = await exec("bash", ["-c", command])
    const text = stdout
      .split("\n")
      .filter((line) => line.startsWith("data: {"))
      .map((line) => (JSON.parse(line.slice(6)) as Chunk).choices[0]?.delta.content ?? "")
      .join("")
    assert.strictEqual(text, answerTo(chatBody("Hello!")).text)
    assert.isTrue(stdout.trimEnd().endsWith("data: [DONE]"))
  })

  it("uses the official client unchanged: chat, streams, completions, embeddings and models", async () => {
    const daemon = await startDaemon({ nodes: NODES })
    await allActive(daemon, NODES)
    const openai = client(daemon)
    const models = await collect(await openai.models.list())
    assert.sameMembers(
      models.map(({ id }) => id),
      ["sim-small", "sim-embed"]
    )
    assert.strictEqual((await openai.models.retrieve("sim-small")).id, "sim-small")

    const body = chatBody("Who are you?", { n: 2 })
    const answer = await openai.chat.completions.create({ ...body, messages: [...body.messages] })
    assert.strictEqual(answer.object, "chat.completion")
    for (const choice of [0, 1]) {
      assert.strictEqual(answer.choices[choice]?.message.content, answerTo(body, choice).text)
      assert.strictEqual(answer.choices[choice]?.finish_reason, "stop")
    }
    const tokens = answerTo(body, 0).pieces.length + answerTo(body, 1).pieces.length
    assert.strictEqual(answer.usage?.completion_tokens, tokens)

    const stopped = await openai.chat.completions.create({
      ...chatBody("Be short."),
      messages: [{ role: "user", content: "Be short." }],
      max_tokens: 5
    })
    assert.strictEqual(stopped.choices[0]?.finish_reason, "length")
    assert.strictEqual(stopped.choices[0]?.message.content?.split(" ").length, 5)

    const prompts = ["one", "two", "three"]
    const completion = await openai.completions.create({ model: "sim-small", prompt: prompts })
    assert.deepStrictEqual(
      completion.choices.map(({ text }) => text),
      prompts.map((_, choice) => expectedAnswer("completions", { model: "sim-small", prompt: prompts }, choice).text)
    )

    const input = ["red", "green", "blue", "red"]
    const vectors = await openai.embeddings.create({ model: "sim-embed", input, encoding_format: "float" })
    assert.deepStrictEqual(
      vectors.data.map(({ index }) => index),
      [0, 1, 2, 3]
    )
    assert.deepStrictEqual(
      vectors.data.map(({ embedding }) => embedding),
      input.map((_, at) => expectedEmbedding({ model: "sim-embed", input }, at) as Array<number>)
    )
    // By default the client asks for base64 and decodes it.
    const decoded = await openai.embeddings.create({ model: "sim-embed", input: "red" })
    assert.strictEqual(decoded.data[0]?.embedding.length, 64)
  })

  it("reads a stream as it is produced, role first, usage last", async () => {
    const daemon = await startDaemon({ nodes: ["steady"] })
    await allActive(daemon, ["steady"])
    const { data: stream, response } = await client(daemon)
      .chat.completions.create({
        model: "sim-small",
        messages: [{ role: "user", content: "Tell me a story." }],
        stream: true,
        stream_options: { include_usage: true }
      })
      .withResponse()
    const path = `/v1/jobs/${response.headers.get("x-job-id")}`
    const chunks: Array<Chunk & { usage?: unknown }> = []
    let state: string | null = null
    for await (const chunk of stream) {
      chunks.push(chunk as (typeof chunks)[number])
      // The first token is here while the job still runs.
      if (chunks.length === 2) state = (await ask<JobView>(daemon, "GET", path)).body.state
    }
    assert.strictEqual(state, "active")
    assert.strictEqual(chunks[0]?.choices[0]?.delta.role, "assistant")
    const { text, pieces } = answerTo(chatBody("Tell me a story."))
    assert.strictEqual(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), text)
    assert.deepStrictEqual(
      chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? []),
      ["stop"]
    )
    assert.deepStrictEqual(chunks.at(-1)?.choices, [])
    assert.include(chunks.at(-1)?.usage as object, { completion_tokens: pieces.length })
  })

  it("pays exactly the price of what was produced, and nothing stays reserved", async () => {
    const daemon = await startDaemon({ nodes: NODES })
    await allActive(daemon, NODES)
    const before = await balance(daemon)
    const { data, response } = await client(daemon)
      .chat.completions.create({ model: "sim-small", messages: [{ role: "user", content: "What does it cost?" }] })
      .withResponse()
    const usage = data.usage
    const cost = BigInt(usage?.prompt_tokens ?? 0) + 3n * BigInt(usage?.completion_tokens ?? 0)
    assert.strictEqual(micro(response.headers.get("x-resultity-cost") ?? ""), cost)
    const after = await balance(daemon)
    assert.deepStrictEqual(after, {
      granted: before.granted,
      available: before.available - cost,
      reserved: 0n,
      spent: before.spent + cost
    })
    assert.deepInclude(await look<object>(daemon, "/control/ledger/audit"), { ok: true, findings: [] })
  })

  it("submits a job, polls it to its end, fetches the result as often as it likes and reads its whole life", async () => {
    const daemon = await startDaemon({ nodes: ["steady"] })
    await allActive(daemon, ["steady"])
    const input = { messages: [{ role: "user", content: "Take your time." }] }
    const submitted = await ask<JobView>(daemon, "POST", "/v1/jobs", {
      body: { model: "sim-small", input, mode: "polling" }
    })
    assert.strictEqual(submitted.status, 202)
    assert.strictEqual(submitted.headers.get("location"), `/v1/jobs/${submitted.body.id}`)
    assert.strictEqual(submitted.body.request_id, submitted.body.id)
    const path = `/v1/jobs/${submitted.body.id}`
    const states = new Set([submitted.body.state])
    const ended = await until("the job's end", async () => {
      const { body } = await ask<JobView>(daemon, "GET", path)
      states.add(body.state)
      return body.finished_at === null ? null : body
    })
    assert.deepStrictEqual([...states], ["queued", "active", "completed"])
    const answer = answerTo(chatBody("Take your time."))
    assert.strictEqual(ended.usage.output_tokens, answer.pieces.length)
    const results = [
      await ask<Completion>(daemon, "GET", `${path}/result`),
      await ask<Completion>(daemon, "GET", `${path}/result`)
    ]
    for (const { status, body } of results) {
      assert.strictEqual(status, 200)
      assert.strictEqual(body.choices[0]?.message.content, answer.text)
    }
    const { body: trace } = await ask<JobTrace>(daemon, "GET", `${path}/trace`)
    assert.deepStrictEqual(
      trace.attempts.map(({ attempt, node, state }) => ({ attempt, node, state })),
      [{ attempt: 1, node: "node-1", state: "succeeded" }]
    )
    assert.isTrue(
      ["Started", "Leased", "Claimed", "Accepted", "Tokens", "Result"].every((name) =>
        trace.moments.some((moment) => moment.name === name)
      )
    )
    assert.notInclude(JSON.stringify(trace), "0x")
    const { body: explained } = await ask<{ sentences: ReadonlyArray<string> }>(daemon, "GET", `${path}/explain`)
    assert.match(explained.sentences.join(" "), /completed/)
    const events = await collect(sseEvents(await open(daemon, "GET", `${path}/events`)))
    assert.strictEqual(events.at(-1)?.event, "ended")
  })

  it("finds its jobs by what they were, page by page, and its usage as a sheet that adds up", async () => {
    const daemon = await startDaemon({ nodes: ["swift"] })
    await allActive(daemon, ["swift"])
    const openai = client(daemon)
    for (let count = 0; count < 5; count++) {
      await openai.chat.completions.create({
        model: "sim-small",
        messages: [{ role: "user", content: `Number ${count}` }],
        user: count < 2 ? "ann" : "bob"
      })
    }
    await openai.embeddings.create({ model: "sim-embed", input: "six" })
    const found = await searchAll(daemon, "type=chat&limit=2")
    assert.strictEqual(found.length, 5)
    assert.strictEqual(new Set(found.map(({ id }) => id)).size, 5)
    assert.deepStrictEqual(
      found.map(({ created_at }) => created_at),
      found.map(({ created_at }) => created_at).toSorted((a, b) => b - a)
    )
    assert.strictEqual((await searchAll(daemon, "user=ann&status=completed&model=sim-small")).length, 2)
    assert.strictEqual((await searchAll(daemon, "status=failed")).length, 0)
    const spent = (await balance(daemon)).spent
    const sheet = await ask<string>(daemon, "GET", "/v1/usage?group_by=model&format=csv")
    assert.include(sheet.headers.get("content-type"), "text/csv")
    const [head = "", ...lines] = sheet.body.trimEnd().split("\r\n")
    const cost = head.split(",").indexOf("cost")
    assert.deepStrictEqual(lines.map((line) => line.split(",")[0]).toSorted(), ["sim-embed", "sim-small"])
    assert.strictEqual(
      lines.reduce((sum, line) => sum + micro(line.split(",")[cost] ?? "0"), 0n),
      spent
    )
    const { body: usage } = await ask<UsageView>(daemon, "GET", "/v1/usage?group_by=day")
    assert.strictEqual(
      usage.data.reduce((sum, day) => sum + day.jobs, 0),
      6
    )
  })
})

interface Chunk {
  readonly choices: ReadonlyArray<{
    readonly delta: { readonly role?: string; readonly content?: string }
    readonly finish_reason: string | null
  }>
}

interface Completion {
  readonly choices: ReadonlyArray<{ readonly message: { readonly content: string } }>
}

const searchAll = async (daemon: Daemon, query: string): Promise<JobList["data"]> => {
  const found: Array<JobList["data"][number]> = []
  let cursor = ""
  while (true) {
    const { body } = await ask<JobList>(daemon, "GET", `/v1/jobs?${query}${cursor}`)
    found.push(...body.data)
    if (!body.has_more) return found
    cursor = `&cursor=${encodeURIComponent(body.next_cursor ?? "")}`
  }
}
