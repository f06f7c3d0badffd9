/**
 * Bodies as runtimes get them: the client's own, plus what streaming, a bound and a continuation need, and nothing
 * else.
 */
import { assert, describe, it } from "@effect/vitest"
import { canContinue, runtimeBody, tokensLeft } from "../../src/agent/Continuation.ts"
import type { Assignment } from "../../src/agent/Runtime.ts"

const user = { role: "user", content: "hi" }
const chat = (more: Partial<Assignment> = {}): Assignment => ({
  endpoint: "chat",
  body: { model: "m", messages: [user], temperature: 0, max_tokens: 100 },
  firstSeq: 1,
  prefix: [],
  outputTokensMax: 100,
  ...more
})
const begun = { firstSeq: 4, prefix: [{ choice: 0, text: "one two three" }] }

describe("the body for a runtime", () => {
  it("is the assigned one, streamed with usage, for a fresh start", () => {
    const streamed = { stream: true, stream_options: { include_usage: true } }
    assert.deepStrictEqual(runtimeBody(chat(), "vllm"), { ...chat().body, ...streamed })
    const embeddings = chat({ endpoint: "embeddings", body: { model: "m", input: "a" } })
    assert.deepStrictEqual(runtimeBody(embeddings, "none"), embeddings.body)
  })

  it("gets the assignment's bound when the client named none", () => {
    const body = { model: "m", messages: [user], n: 2 }
    assert.strictEqual(runtimeBody(chat({ body, outputTokensMax: 64 }), "none")["max_tokens"], 32)
    const own = runtimeBody(chat({ body: { ...body, max_completion_tokens: 9 } }), "none")
    assert.deepStrictEqual([own["max_tokens"], own["max_completion_tokens"]], [undefined, 9])
  })

  it("tells vLLM to go on from the assistant's message", () => {
    const body = runtimeBody(chat(begun), "vllm")
    assert.deepStrictEqual(body["messages"], [user, { role: "assistant", content: "one two three" }])
    assert.deepStrictEqual([body["continue_final_message"], body["add_generation_prompt"]], [true, false])
    assert.strictEqual(body["max_tokens"], 97)
  })

  it("only adds the message for a runtime that goes on by itself", () => {
    const body = runtimeBody(chat(begun), "trailing")
    assert.deepStrictEqual(body["messages"], [user, { role: "assistant", content: "one two three" }])
    assert.isUndefined(body["continue_final_message"])
  })

  it("goes on in the client's own beginning of the answer", () => {
    const own = { role: "assistant", content: "zero " }
    const messages = [user, own]
    const prefilled = chat({ ...begun, body: { model: "m", messages, continue_final_message: true } })
    const joined = [user, { role: "assistant", content: "zero one two three" }]
    assert.deepStrictEqual(runtimeBody(prefilled, "vllm")["messages"], joined)
    const trailing = chat({ ...begun, body: { model: "m", messages } })
    assert.deepStrictEqual(runtimeBody(trailing, "trailing")["messages"], joined)
    const answered = [user, own, { role: "assistant", content: "one two three" }]
    assert.deepStrictEqual(runtimeBody(trailing, "vllm")["messages"], answered)
  })

  it("appends to the prompt of a completion", () => {
    const body = runtimeBody(chat({ ...begun, endpoint: "completions", body: { prompt: "zero " } }), "none")
    assert.strictEqual(body["prompt"], "zero one two three")
  })

  it("counts what is left from the pieces, or from the text when there is no count", () => {
    assert.strictEqual(tokensLeft(chat(begun)), 97)
    assert.strictEqual(tokensLeft(chat({ ...begun, firstSeq: 1 })), 96)
    assert.strictEqual(tokensLeft(chat({ firstSeq: 500, prefix: [{ choice: 0, text: "x".repeat(400) }] })), 0)
  })

  it("is declined where no runtime could go on", () => {
    const completion = (body: Assignment["body"]) => chat({ ...begun, endpoint: "completions", body })
    assert.isTrue(canContinue(chat(begun), "vllm"))
    assert.isFalse(canContinue(chat(begun), "none"))
    assert.isTrue(canContinue(completion({ prompt: "a" }), "none"))
    assert.isFalse(canContinue(completion({ prompt: ["a", "b"] }), "vllm"))
    assert.isFalse(canContinue(completion({ prompt: "a", echo: true }), "vllm"))
    assert.isFalse(canContinue(chat({ ...begun, body: { ...chat().body, n: 2 } }), "vllm"))
  })
})
