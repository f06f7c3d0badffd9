/**
 * A Node HTTP server around an app, for as long as its scope lives. Its limits are set before the first byte; what breaks
 * before it is a request still gets the error contract. On close it stops listening at once, ends open
 * conversations, and leaves half-answered requests a short grace.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Scope from "effect/Scope"
import { type Refusal, type RefusalCode, refuse } from "../schemas/Refusal.ts"
import { BODY_BYTES_MAX } from "./Body.ts"
import { problemHeaders, problemOf } from "./Problems.ts"

/** The address is taken, or not ours. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly host: string
  readonly port: number
  readonly cause: unknown
}> {
  override get message(): string {
    const code = this.cause instanceof Error && "code" in this.cause ? this.cause.code : undefined
    const at = `${this.host}:${this.port}`
    if (code === "EADDRINUSE") return `${at} is in use by another program: stop it, or choose another port`
    if (code === "EACCES") return `this user may not listen on ${at}: choose a port above 1023`
    return `cannot listen on ${at}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 60_000
const TIMEOUT_CHECK_MS = 2_000
const KEEP_ALIVE_MS = 65_000
/** Above what we accept, so that it is we who refuse and say why. */
const HEADER_BYTES_MAX = 32_768
const CLOSE_GRACE = "2 seconds"

export type OnUpgrade = (incoming: IncomingMessage, socket: Duplex, head: Buffer) => void

export interface Listening {
  readonly host: string
  /** The one that was given, or that the system chose for 0. */
  readonly port: number
}

export const listen = <R>(
  at: { readonly host: string; readonly port: number },
  app: Effect.Effect<HttpServerResponse, never, R | HttpServerRequest.HttpServerRequest>,
  onUpgrade: OnUpgrade
): Effect.Effect<
  Listening,
  ListenFailed,
  Exclude<R, HttpServerRequest.HttpServerRequest | Scope.Scope> | Scope.Scope
> =>
  Effect.gen(function* () {
    const calls = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const handler = yield* NodeHttpServer.makeHandler(app, { scope: calls })
    const server = createServer({
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
      requireHostHeader: false,
      noDelay: true
    })
    const answering = new Set<ServerResponse>()
    const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse) => {
      answering.add(outgoing)
      outgoing.once("close", () => void answering.delete(outgoing))
      handler(incoming, outgoing)
    }
    server.on("request", onRequest)
    server.on("checkContinue", (incoming: IncomingMessage, outgoing: ServerResponse) => {
      // A body that will be refused for its size is not asked for.
      if (Number(incoming.headers["content-length"] ?? 0) <= BODY_BYTES_MAX) outgoing.writeContinue()
      onRequest(incoming, outgoing)
    })
    server.on("clientError", onClientError)
    server.on("upgrade", onUpgrade)
    server.on("connect", (_incoming: IncomingMessage, socket: Duplex) =>
      endRaw(socket, refuse("method_not_allowed", "This is no proxy."))
    )
    return yield* Effect.acquireRelease(start(server, at), () => stop(server, calls, answering))
  })

const start = (server: Server, { host, port }: { readonly host: string; readonly port: number }) =>
  Effect.callback<Listening, ListenFailed>((resume) => {
    const onError = (cause: Error) => resume(Effect.fail(new ListenFailed({ host, port, cause })))
    server.once("error", onError)
    server.listen(port, host, () => {
      server.off("error", onError)
      const address = server.address()
      resume(Effect.succeed({ host, port: typeof address === "object" && address !== null ? address.port : port }))
    })
  })

/** Waits for answers, not for connections: one that was opened and never used would hold the end up for nothing. */
const stop = (server: Server, calls: Scope.Closeable, answering: ReadonlySet<ServerResponse>): Effect.Effect<void> =>
  Effect.gen(function* () {
    // Its callback would wait for upgraded sockets too, which end after this.
    server.close()
    const answered = Effect.suspend(() => Effect.forEach([...answering], written, { concurrency: 64, discard: true }))
    yield* Effect.andThen(Scope.close(calls, Exit.void), answered).pipe(Effect.timeoutOption(CLOSE_GRACE))
    server.closeAllConnections()
  })

const written = (outgoing: ServerResponse): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (outgoing.closed) return resume(Effect.void)
    outgoing.once("close", () => resume(Effect.void))
  })

interface ParserError extends Error {
  readonly code?: string
  readonly rawPacket?: Buffer
}

const onClientError = (error: ParserError, socket: Duplex): void => {
  // Half an answer is out already, or nobody listens: there is nothing to tell.
  if (!socket.writable || error.code === "ECONNRESET" || isAnswering(socket)) return void socket.destroy()
  endRaw(socket, parserRefusal(error))
}

/** Node keeps the answer that a socket is busy with in this field. */
const isAnswering = (socket: Duplex): boolean => {
  const busy = (socket as Duplex & { readonly _httpMessage?: ServerResponse | null })._httpMessage
  return busy !== undefined && busy !== null && busy.headersSent
}

const parserRefusal = ({ code, rawPacket }: ParserError): Refusal => {
  switch (code) {
    case "HPE_HEADER_OVERFLOW": {
      const lineEnd = rawPacket?.indexOf("\r\n") ?? -1
      const target = lineEnd === -1 ? Number.POSITIVE_INFINITY : lineEnd
      return target > HEADER_BYTES_MAX / 2
        ? refuse("uri_too_long", "The request target is too long.")
        : refuse("headers_too_large", "The headers are too large.")
    }
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return refuse("request_timeout", "The request did not come in time.")
    default:
      return refuse("invalid_request", "This is not a valid HTTP request.")
  }
}

const REASONS: Readonly<Partial<Record<RefusalCode, string>>> = {
  uri_too_long: "URI Too Long",
  headers_too_large: "Request Header Fields Too Large",
  request_timeout: "Request Timeout",
  method_not_allowed: "Method Not Allowed",
  not_found: "Not Found",
  rate_limited: "Too Many Requests",
  upgrade_required: "Upgrade Required",
  draining: "Service Unavailable"
}

/** Answers on a bare socket, where there is no request to answer, and closes it. */
export const endRaw = (socket: Duplex, refusal: Refusal, requestId = "none"): void => {
  const body = JSON.stringify(problemOf(refusal, requestId))
  const head = [
    `HTTP/1.1 ${refusal.meaning.status} ${REASONS[refusal.code] ?? "Bad Request"}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
    ...Object.entries(problemHeaders(refusal)).map(([name, value]) => `${name}: ${value}`)
  ]
  socket.on("error", () => socket.destroy())
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`)
}
