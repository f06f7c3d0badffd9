/**
 * A control listener that answers as it is told and writes down what it was asked. `call` runs a command against it in this process, with
 * what it would print.
 */
import { Effect } from "effect"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Writable } from "node:stream"
import { run } from "../../src/cli/Cli.ts"
import type { Env } from "../../src/cli/Env.ts"
import { Output } from "../../src/cli/Output.ts"

export interface Asked {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly body: unknown
  readonly headers: IncomingMessage["headers"]
}

export type Answer =
  | { readonly status?: number; readonly json: unknown; readonly headers?: Record<string, string> }
  | { readonly status?: number; readonly text: string; readonly type?: string }
  /** Takes the whole answer over. */
  | ((response: ServerResponse, asked: Asked) => void)

export interface FakeControl {
  readonly url: string
  readonly asked: ReadonlyArray<Asked>
  /** The next answers, in order; without one it answers `not_found`. */
  readonly answer: (...answers: ReadonlyArray<Answer>) => void
}

export const problem = (status: number, code: string, message: string): Answer => ({
  status,
  json: { error: { message, type: "invalid_request_error", param: null, code }, request_id: "req_1" },
  headers: { "x-request-id": "req_1" }
})

export const fake = Effect.map(
  Effect.acquireRelease(Effect.promise(start), ({ server }) =>
    Effect.promise(async () => {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    })
  ),
  ({ control }) => control
)

async function start(): Promise<{ readonly server: Server; readonly control: FakeControl }> {
  const asked: Array<Asked> = []
  const answers: Array<Answer> = []
  const server = createServer(async (request, response) => {
    const chunks: Array<Buffer> = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString("utf8")
    const one: Asked = {
      method: request.method ?? "",
      path: request.url ?? "",
      body: text === "" ? null : JSON.parse(text),
      headers: request.headers
    }
    asked.push(one)
    reply(response, one, answers.shift() ?? problem(404, "not_found", "There is nothing."))
  })
  await new Promise<void>((listening) => void server.listen(0, "127.0.0.1", listening))
  const { port } = server.address() as AddressInfo
  const control = {
    url: `http://127.0.0.1:${port}`,
    asked,
    answer: (...more: ReadonlyArray<Answer>) => void answers.push(...more)
  }
  return { server, control }
}

const reply = (response: ServerResponse, asked: Asked, answer: Answer): void => {
  if (typeof answer === "function") return answer(response, asked)
  if ("json" in answer) {
    response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers })
    return void response.end(JSON.stringify(answer.json))
  }
  response.writeHead(answer.status ?? 200, { "content-type": answer.type ?? "text/plain" })
  response.end(answer.text)
}

export interface Printed {
  readonly exit: number
  readonly out: string
  readonly err: string
}

const sink = (): { readonly stream: Writable; readonly text: () => string } => {
  const chunks: Array<Buffer> = []
  const stream = new Writable({
    write: (chunk: Buffer, _, done) => {
      chunks.push(chunk)
      done()
    }
  })
  return { stream, text: () => Buffer.concat(chunks).toString("utf8") }
}

/** What the command line would print and end with; `terminal` makes it believe that a person looks on. */
export const call = (argv: ReadonlyArray<string>, env: Env = {}, terminal = false): Effect.Effect<Printed> =>
  Effect.suspend(() => {
    const [out, err] = [sink(), sink()]
    return run(argv, env).pipe(
      Effect.map((exit) => ({ exit, out: out.text(), err: err.text() })),
      Effect.provide(
        Output.layer(Object.assign(out.stream, { isTTY: terminal }), Object.assign(err.stream, { isTTY: terminal }))
      )
    )
  })

export const callAt = (control: FakeControl, ...argv: ReadonlyArray<string>): Effect.Effect<Printed> =>
  call(argv, { RESULTITY_CONTROL_URL: control.url })
