/**
 * An OpenAI-compatible runtime in a process of its own that answers at once: as many words as were asked for, streamed or whole. A
 * prompt that says STALL is never answered. What it costs is the floor under everything that is measured through a daemon.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"

const TOKENS_DEFAULT = 8

interface Body {
  readonly stream?: boolean
  readonly max_tokens?: number
}

const json = (response: ServerResponse, value: object): void => {
  const text = JSON.stringify(value)
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text)
}

const head = { id: "chatcmpl-mock", created: 1_700_000_000, model: "mock" }
const usageOf = (tokens: number) => ({ prompt_tokens: 8, completion_tokens: tokens, total_tokens: 8 + tokens })

const whole = (response: ServerResponse, tokens: number): void => {
  const message = { role: "assistant", content: "word ".repeat(tokens) }
  const choices = [{ index: 0, message, finish_reason: "length" }]
  json(response, { ...head, object: "chat.completion", choices, usage: usageOf(tokens) })
}

/** All events in one write: a runtime that is faster than its network. */
const streamed = (response: ServerResponse, tokens: number): void => {
  const event = (fields: object) =>
    `data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", ...fields })}\n\n`
  const says = (delta: object, finish: string | null = null) =>
    event({ choices: [{ index: 0, delta, finish_reason: finish }] })
  const first = says({ role: "assistant", content: "word " })
  const rest = says({ content: "word " }).repeat(tokens - 1)
  const last = `${says({}, "length")}${event({ choices: [], usage: usageOf(tokens) })}data: [DONE]\n\n`
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.end(`${first}${rest}${last}`)
}

const readText = async (request: IncomingMessage): Promise<string> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString("utf8")
}

const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
  if (request.method === "GET") {
    return json(response, { object: "list", data: [{ id: "mock", object: "model", owned_by: "mock" }] })
  }
  const text = await readText(request)
  if (text.includes("STALL")) return
  const { stream, max_tokens: tokens = TOKENS_DEFAULT } = JSON.parse(text) as Body
  if (stream === true) streamed(response, tokens)
  else whole(response, tokens)
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy())
})
server.keepAliveTimeout = 600_000
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  console.log(`ready: ${typeof address === "object" && address !== null ? address.port : 0}`)
})
process.once("SIGTERM", () => process.exit(0))
