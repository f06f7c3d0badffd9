/**
 * A receiver of webhooks as somebody else would write one: a real HTTP server on loopback that verifies each signature with the web's own crypto, by
 * what the specification says and by nothing of this house. What it answers is for the test to say.
 */
import { once } from "node:events"
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"

export interface Received {
  readonly path: string
  readonly id: string
  readonly seconds: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly body: { readonly type: string; readonly timestamp: string; readonly data: Record<string, unknown> }
  /** By the secret that the test gave for this path. */
  readonly isGenuine: boolean
}

export type Answer = (response: ServerResponse, received: Received) => void

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response.writeHead(code, headers).end()

/** Never. */
export const silence: Answer = () => {}

const bytesOf = (text: string) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0))

/** https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md */
const isGenuine = async (secret: string, headers: IncomingHttpHeaders, body: string): Promise<boolean> => {
  if (!secret.startsWith("whsec_")) return false
  const algorithm = { name: "HMAC", hash: "SHA-256" }
  const key = await crypto.subtle.importKey("raw", bytesOf(secret.slice(6)), algorithm, false, ["verify"])
  const signed = new TextEncoder().encode(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`)
  for (const each of String(headers["webhook-signature"]).split(" ")) {
    const [version, signature = ""] = each.split(",")
    if (version === "v1" && (await crypto.subtle.verify("HMAC", key, bytesOf(signature), signed))) return true
  }
  return false
}

export class WebhookReceiver {
  readonly received: Array<Received> = []
  readonly secrets = new Map<string, string>()
  /** By path; 204 where nothing is said. */
  readonly answers = new Map<string, Answer>()
  readonly origin: string
  private waiting: Array<() => void> = []

  constructor(origin: string) {
    this.origin = origin
  }

  static readonly start: Effect.Effect<WebhookReceiver, never, Scope.Scope> = Effect.gen(function* () {
    let receiver: WebhookReceiver | null = null
    const server = createServer((request, response) => void receiver?.take(request, response))
    yield* Effect.acquireRelease(
      Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
      () =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    )
    const { port } = server.address() as AddressInfo
    receiver = new WebhookReceiver(`http://127.0.0.1:${port}`)
    return receiver
  })

  url(path: string): string {
    return `${this.origin}${path}`
  }

  at(path: string): ReadonlyArray<Received> {
    return this.received.filter((each) => each.path === path)
  }

  /** Really waits for the network, whatever the test's clock says; the test's own limit bounds it. */
  readonly until = (holds: () => boolean): Effect.Effect<void> =>
    Effect.promise(async () => {
      while (!holds()) await new Promise<void>((resolve) => this.waiting.push(resolve))
    })

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url: path = "", headers } = request
    let text = ""
    request.setEncoding("utf8")
    for await (const chunk of request) text += chunk as string
    const received: Received = {
      path,
      headers,
      text,
      id: String(headers["webhook-id"]),
      seconds: Number(headers["webhook-timestamp"]),
      body: JSON.parse(text) as Received["body"],
      isGenuine: await isGenuine(this.secrets.get(path) ?? "", headers, text)
    }
    this.received.push(received)
    const answer = this.answers.get(path) ?? status(204)
    answer(response, received)
    const all = this.waiting
    this.waiting = []
    for (const resolve of all) resolve()
  }
}
