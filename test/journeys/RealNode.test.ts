/**
 * `resultity node` beside a runtime it knows only by its URL: one that obeys orders, always; and a real llama.cpp where `LLAMA_URL` says that
 * there is one.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { client, type Daemon, startDaemon } from "../support/Daemon.ts"
import * as FakeRuntime from "../support/FakeRuntime.ts"
import { findings } from "../support/Invariants.ts"
import { activeNode, startRuntimeNode } from "../support/Nodes.ts"
import { temporaryFolder } from "../support/Process.ts"
import { until } from "../support/Until.ts"

const LLAMA_URL = process.env["LLAMA_URL"]

const chat = (model: string, content: string) => ({ model, messages: [{ role: "user" as const, content }] })

const aFakeRuntime = async () => {
  const runtime = await FakeRuntime.start()
  onTestFinished(() => runtime.close())
  return runtime
}

/** The text of a stream, and how it finished. */
const streamed = async (daemon: Daemon, model: string, content: string, tokensMax: number) => {
  const stream = await client(daemon).chat.completions.create({
    ...chat(model, content),
    max_tokens: tokensMax,
    stream: true,
    stream_options: { include_usage: true }
  })
  let text = ""
  let finish: string | null = null
  let tokens = 0
  for await (const { choices, usage } of stream) {
    text += choices[0]?.delta.content ?? ""
    finish = choices[0]?.finish_reason ?? finish
    tokens = usage?.completion_tokens ?? tokens
  }
  return { text, finish, tokens }
}

describe("a node beside a runtime", () => {
  it("makes its key once, for its owner alone, and keeps its name by it", async () => {
    const daemon = await startDaemon()
    const runtime = await aFakeRuntime()
    const key = join(temporaryFolder(), "deep", "node.key")
    const first = startRuntimeNode(daemon, { name: "real", runtime: runtime.baseUrl, key })
    const { nodeId } = await activeNode(daemon, "real")
    assert.strictEqual(statSync(key).mode & 0o777, 0o600)
    assert.notInclude(first.lines.join("\n"), readFileSync(key, "utf8").trim().replace("0x", ""))
    assert.strictEqual((await first.kill("SIGINT")).code, 0)
    startRuntimeNode(daemon, { name: "real", runtime: runtime.baseUrl, key })
    assert.strictEqual((await activeNode(daemon, "real")).nodeId, nodeId)
  })

  it("serves chat, streams and completions of the models it finds there", async () => {
    const daemon = await startDaemon()
    const runtime = await aFakeRuntime()
    startRuntimeNode(daemon, { name: "real", runtime: runtime.baseUrl })
    assert.deepStrictEqual((await activeNode(daemon, "real")).models, ["fake-small"])
    const openai = client(daemon)
    const answer = await openai.chat.completions.create(chat("fake-small", "Hello?"))
    assert.strictEqual(answer.choices[0]?.message.content, "Hello there")
    assert.deepInclude(answer.usage, { prompt_tokens: 7, completion_tokens: 2 })
    assert.deepStrictEqual(await streamed(daemon, "fake-small", "Hello?", 16), {
      text: "Hello there",
      finish: "stop",
      tokens: 2
    })
    const completion = await openai.completions.create({ model: "fake-small", prompt: "Hello?" })
    assert.strictEqual(completion.choices[0]?.text, "Hello there")
    const last = runtime.asked.at(-1)
    assert.strictEqual(last?.path, "/completions")
    assert.deepInclude(last?.body, { model: "fake-small", prompt: "Hello?", stream: true })
    // The runtime learns nothing of the customer.
    assert.notInclude(JSON.stringify(runtime.asked), daemon.key)
    assert.deepStrictEqual(await findings(daemon), [])
  })

  it("gets no customer's job before its test inference is passed", async () => {
    const daemon = await startDaemon()
    const runtime = await aFakeRuntime()
    runtime.order({ kind: "status", status: 500 })
    const node = startRuntimeNode(daemon, { name: "broken", runtime: runtime.baseUrl })
    await node.line(/"connected"/)
    await daemon.line(/node failed its test/)
    const refused = await client(daemon)
      .chat.completions.create(chat("fake-small", "Hello?"))
      .then(
        () => 200,
        ({ status }: { status: number }) => status
      )
    assert.strictEqual(refused, 404)
    assert.lengthOf(runtime.asked, 1)
  })

  it("finishes what runs when it is asked to stop, and takes nothing new", async () => {
    const daemon = await startDaemon()
    const runtime = await aFakeRuntime()
    const node = startRuntimeNode(daemon, { name: "leaving", runtime: runtime.baseUrl })
    await activeNode(daemon, "leaving")
    runtime.order({ kind: "slow", pieces: ["One", " two", " three"] })
    const asked = runtime.asked.length
    const stream = await client(daemon).chat.completions.create({ ...chat("fake-small", "Count."), stream: true })
    await runtime.whenAsked(asked + 1)
    runtime.step()
    let text = ""
    for await (const { choices } of stream) {
      const piece = choices[0]?.delta.content ?? ""
      text += piece
      if (piece !== "One") continue
      process.kill(node.pid, "SIGINT")
      await node.line(/"draining"/)
      await until("the models to go", async () => (await client(daemon).models.list()).data.length === 0)
      runtime.step()
      runtime.step()
    }
    assert.strictEqual(text, "One two three")
    assert.deepStrictEqual(await node.exited, { code: 0, signal: null })
    assert.deepStrictEqual(await findings(daemon), [])
  })
})

describe("a node beside llama.cpp", () => {
  if (LLAMA_URL === undefined)
    console.warn("skipped: the journey with a real model; set LLAMA_URL to a llama.cpp server")
  it.skipIf(LLAMA_URL === undefined)("serves chat, streams and completions of a real model", async () => {
    const daemon = await startDaemon()
    const node = startRuntimeNode(daemon, { name: "llama", runtime: LLAMA_URL ?? "" })
    const { models } = await activeNode(daemon, "llama")
    const model = models[0] ?? ""
    const openai = client(daemon)
    const answer = await openai.chat.completions.create({ ...chat(model, "Say hello."), max_tokens: 24 })
    assert.isNotEmpty(answer.choices[0]?.message.content)
    assert.isAtMost(answer.usage?.completion_tokens ?? Infinity, 24)
    assert.isAbove(answer.usage?.prompt_tokens ?? 0, 0)
    const { text, finish, tokens } = await streamed(daemon, model, "Count from one to ten.", 16)
    assert.isNotEmpty(text)
    assert.include(["stop", "length"], finish)
    assert.isAtMost(tokens, 16)
    const completion = await openai.completions.create({ model, prompt: "Once upon a time", max_tokens: 12 })
    assert.isNotEmpty(completion.choices[0]?.text)
    assert.deepStrictEqual(await findings(daemon), [])
    assert.strictEqual((await node.kill("SIGINT")).code, 0)
  })
})
