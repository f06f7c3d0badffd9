/**
 * A pooler of transactions between clients and a PostgreSQL: each client opens a connection to the server by its own login; from then on whoever begins
 * gets the one that was given back last (or first), and keeps it until its transaction ends.
 */
import { connect, createServer, type Server, type Socket } from "node:net"
import { once } from "node:events"
import { Redacted } from "effect"
import { serverUrl } from "./PgSchema.ts"

interface Upstream {
  readonly socket: Socket
  client: Client | null
}

interface Client {
  readonly socket: Socket
  readonly waiting: Array<Buffer>
  upstream: Upstream | null
  isLoggedIn: boolean
}

export class FakePooler {
  private readonly server: Server
  private readonly free: Array<Upstream> = []
  private readonly sockets = new Set<Socket>()
  private readonly gives: "last" | "first"

  private constructor(server: Server, gives: "last" | "first") {
    this.server = server
    this.gives = gives
    server.on("connection", (socket) => this.serve(socket))
  }

  static async start(gives: "last" | "first"): Promise<FakePooler> {
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    return new FakePooler(server, gives)
  }

  get url(): Redacted.Redacted {
    const url = new URL(serverUrl)
    url.host = `127.0.0.1:${(this.server.address() as { readonly port: number }).port}`
    return Redacted.make(url.href)
  }

  stop(): void {
    this.server.close()
    for (const socket of this.sockets) socket.destroy()
  }

  private serve(socket: Socket): void {
    const upstream: Upstream = { socket: connect(Number(serverUrl.port || 5432), serverUrl.hostname), client: null }
    const client: Client = { socket, waiting: [], upstream, isLoggedIn: false }
    upstream.client = client
    for (const each of [socket, upstream.socket]) {
      this.sockets.add(each)
      each.on("error", () => each.destroy())
    }
    socket.on("data", (bytes) => {
      client.waiting.push(bytes)
      this.pass(client)
    })
    let rest = Buffer.alloc(0)
    upstream.socket.on("data", (bytes) => {
      rest = Buffer.concat([rest, bytes])
      rest = this.answer(upstream, rest)
    })
  }

  private pass(client: Client): void {
    client.upstream ??= (this.gives === "last" ? this.free.pop() : this.free.shift()) ?? null
    if (client.upstream === null) return
    client.upstream.client = client
    for (const bytes of client.waiting.splice(0)) client.upstream.socket.write(bytes)
  }

  /** Message by message: `Z` with the status `I` ends a transaction. */
  private answer(upstream: Upstream, bytes: Buffer): Buffer<ArrayBuffer> {
    let at = 0
    while (bytes.length - at >= 5 && bytes.length - at > bytes.readUInt32BE(at + 1)) {
      const end = at + 1 + bytes.readUInt32BE(at + 1)
      const message = bytes.subarray(at, end)
      at = end
      const { client } = upstream
      client?.socket.write(Buffer.from(message))
      if (message.toString("latin1", 0, 1) !== "Z" || message.toString("latin1", 5, 6) !== "I" || client === null)
        continue
      client.isLoggedIn = true
      client.upstream = null
      upstream.client = null
      this.free.push(upstream)
    }
    return Buffer.from(bytes.subarray(at))
  }
}
