/** A crossing before an S3 server: passes requests on byte by byte, and does harm to those that it is told to. Signatures stay good: the host is what the client called. */
import * as http from "node:http"
import type { AddressInfo } from "node:net"

export type Harm =
  /** Answered here, with this status. */
  | { readonly _tag: "Answer"; readonly status: number; readonly body: string }
  /** Never answered. */
  | { readonly _tag: "Hang" }
  /** The connection is cut before anything is passed on. */
  | { readonly _tag: "Cut" }
  /** The server does its part, and the connection is cut in the middle of its answer. */
  | { readonly _tag: "CutAnswer" }
  /** The server does its part, and these headers of its answer are lost. */
  | { readonly _tag: "Strip"; readonly headers: ReadonlyArray<string> }

export interface Crossing {
  readonly url: string
  /** Asked for each request; null lets it pass. */
  harm: (method: string, path: string) => Harm | null
  /** Method and path of each request so far. */
  readonly seen: Array<string>
  readonly close: () => Promise<void>
}

const forward = (target: URL, request: http.IncomingMessage, body: Buffer) =>
  new Promise<{ response: http.IncomingMessage; bytes: Buffer }>((resolve, reject) => {
    const onward = http.request(
      { host: target.hostname, port: target.port, method: request.method, path: request.url, headers: request.headers },
      (response) => {
        collect(response).then((bytes) => resolve({ response, bytes }), reject)
      }
    )
    onward.on("error", reject)
    onward.end(body)
  })

const collect = async (from: http.IncomingMessage): Promise<Buffer> => {
  const parts: Array<Buffer> = []
  for await (const part of from) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

const pass = async (target: URL, request: http.IncomingMessage, response: http.ServerResponse, harm: Harm | null) => {
  const answer = await forward(target, request, await collect(request))
  const headers = { ...answer.response.headers }
  for (const name of harm?._tag === "Strip" ? harm.headers : []) delete headers[name]
  if (harm?._tag === "CutAnswer") {
    response.writeHead(answer.response.statusCode ?? 500, { ...headers, "content-length": answer.bytes.length + 100 })
    response.write(answer.bytes, () => response.destroy())
    return
  }
  response.writeHead(answer.response.statusCode ?? 500, headers).end(answer.bytes)
}

/** @param to the server behind it; null when every request is to be harmed */
export const openCrossing = async (to: string | null): Promise<Crossing> => {
  const target = new URL(to ?? "http://127.0.0.1:9")
  const server = http.createServer((request, response) => {
    const [method, path] = [request.method ?? "", request.url ?? ""]
    crossing.seen.push(`${method} ${path}`)
    const harm = crossing.harm(method, path)
    if (harm?._tag === "Hang") return void request.resume()
    if (harm?._tag === "Cut") return void request.destroy()
    if (harm?._tag === "Answer") {
      request.resume()
      return void response.writeHead(harm.status, { "content-type": "application/xml" }).end(harm.body)
    }
    pass(target, request, response, harm).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const crossing: Crossing = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    harm: () => null,
    seen: [],
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    }
  }
  return crossing
}
