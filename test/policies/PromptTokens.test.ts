import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import {
  MEDIA_TOKENS_MAX,
  MESSAGE_OVERHEAD_TOKENS,
  promptTokensMax,
  REQUEST_OVERHEAD_TOKENS,
  TEXT_OVERHEAD_TOKENS,
  TOOLS_OVERHEAD_TOKENS
} from "../../src/policies/PromptTokens.ts"

const bytes = (text: string) => new TextEncoder().encode(text).length
const Message = Schema.Struct({ role: Schema.Literals(["system", "user", "assistant"]), content: Schema.String })
const messages = Arbitrary.array(Arbitrary.schema(Message), { maxLength: 12 })

describe("PromptTokens", () => {
  it.prop("a chat is bounded by one token for each byte, whatever its messages say", { messages }, ({ messages }) => {
    // The worst tokenizer: each byte of role and content a token, and the template's markers around each message.
    const worst = messages.reduce((sum, { role, content }) => sum + bytes(role) + bytes(content) + 5, 3)
    assert.isAtLeast(promptTokensMax("chat", { model: "m", messages }), worst)
  })

  it.prop("a bound grows with each message", { messages, more: Message }, ({ messages, more }) => {
    assert.isAbove(promptTokensMax("chat", { messages: [...messages, more] }), promptTokensMax("chat", { messages }))
  })

  it("a chat counts bytes and allowances, and nothing of what only steers the runtime", () => {
    const body = {
      model: "llama",
      messages: [{ role: "user", content: "grüße" }],
      temperature: 0.5,
      stream: true,
      stop: ["x"],
      user: "u"
    }
    assert.strictEqual(promptTokensMax("chat", body), REQUEST_OVERHEAD_TOKENS + MESSAGE_OVERHEAD_TOKENS + 4 + 7)
  })

  it("a chat counts text parts by bytes and pictures by the piece, however long their address", () => {
    const picture = (url: string) =>
      promptTokensMax("chat", {
        messages: [
          {
            role: "user",
            content: [
              { type: "text", text: "what is it" },
              { type: "image_url", image_url: { url } }
            ]
          }
        ]
      })
    assert.strictEqual(picture("https://a.example/b.png"), picture(`data:image/png;base64,${"A".repeat(10_000)}`))
    assert.strictEqual(picture("x"), REQUEST_OVERHEAD_TOKENS + MESSAGE_OVERHEAD_TOKENS + 4 + 10 + MEDIA_TOKENS_MAX)
  })

  it("a chat counts sound by its bytes as well", () => {
    const data = "A".repeat(50_000)
    const body = {
      messages: [{ role: "user", content: [{ type: "input_audio", input_audio: { data, format: "wav" } }] }]
    }
    assert.isAbove(promptTokensMax("chat", body), 50_000 + MEDIA_TOKENS_MAX)
  })

  it("a chat counts its tools as a template prints them, with indentation", () => {
    const tools = [
      {
        type: "function",
        function: { name: "weather", parameters: { type: "object", properties: { town: { type: "string" } } } }
      }
    ]
    const without = promptTokensMax("chat", { messages: [] })
    assert.isAtLeast(
      promptTokensMax("chat", { messages: [], tools }) - without,
      bytes(JSON.stringify(tools, null, 4)) + TOOLS_OVERHEAD_TOKENS
    )
    assert.strictEqual(promptTokensMax("chat", { messages: [], tools: [] }) - without < TOOLS_OVERHEAD_TOKENS, true)
  })

  it("a chat counts earlier tool calls and unknown fields, since a template may print them", () => {
    const call = [{ id: "call_1", type: "function", function: { name: "f", arguments: '{"a":[1,2,3,4]}' } }]
    const plain = promptTokensMax("chat", { messages: [{ role: "assistant", content: null }] })
    assert.isAtLeast(
      promptTokensMax("chat", { messages: [{ role: "assistant", content: null, tool_calls: call }] }) - plain,
      bytes(JSON.stringify(call))
    )
    const documents = [{ title: "t", text: "long ".repeat(50) }]
    assert.isAtLeast(
      promptTokensMax("chat", { messages: [{ role: "assistant", content: null }], documents }) - plain,
      250
    )
  })

  for (const [endpoint, field] of [
    ["embeddings", "input"],
    ["completions", "prompt"]
  ] as const) {
    it(`${endpoint}: a string counts its bytes`, () => {
      assert.strictEqual(promptTokensMax(endpoint, { [field]: "naïve" }), 6 + TEXT_OVERHEAD_TOKENS)
    })
    it(`${endpoint}: strings count each`, () => {
      assert.strictEqual(promptTokensMax(endpoint, { [field]: ["ab", "cde", ""] }), 5 + 3 * TEXT_OVERHEAD_TOKENS)
    })
    it(`${endpoint}: token numbers count exactly`, () => {
      assert.strictEqual(promptTokensMax(endpoint, { [field]: [1, 2, 3, 50_000] }), 4)
      assert.strictEqual(promptTokensMax(endpoint, { [field]: [[1, 2], [3], []] }), 3)
    })
  }

  it("completions: a suffix counts too", () => {
    assert.strictEqual(promptTokensMax("completions", { prompt: "ab", suffix: "xyz" }), 5 + TEXT_OVERHEAD_TOKENS)
  })

  it.prop(
    "a bound is a whole number, whatever the body holds",
    { body: Schema.Record(Schema.String, Schema.Json) },
    ({ body }) => {
      for (const endpoint of ["chat", "completions", "embeddings"] as const) {
        for (const field of ["messages", "prompt", "input"]) {
          const bound = promptTokensMax(endpoint, { ...body, [field]: body as Schema.JsonObject })
          assert.isTrue(Number.isSafeInteger(bound) && bound >= 0)
        }
      }
    }
  )
})
