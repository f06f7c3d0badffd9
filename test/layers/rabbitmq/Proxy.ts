/** A way to the broker that a test can break: cut (refused and reset), hung (open and silent), speaking for the broker, or as it should be. */
import { createConnection, createServer, type Socket } from "node:net"

/** Class 10, methods 60 and 61, of AMQP 0-9-1 with RabbitMQ's extension. */
const BLOCKED = Buffer.from([0, 10, 0, 60])
const UNBLOCKED = Buffer.from([0, 10, 0, 61])
const FRAME_END = 0xce

export class Proxy {
  private readonly target: { readonly host: string; readonly port: number }
  private readonly sockets = new Set<Socket>()
  private readonly clients = new Set<Socket>()
  private readonly server = createServer((client) => this.accept(client))
  private sayRefused: () => void = () => {}
  /** When the first connection was refused. */
  readonly refused = new Promise<void>((resolve) => void (this.sayRefused = resolve))
  private mode: "pass" | "cut" | "hang" = "pass"

  private constructor(target: URL) {
    this.target = { host: target.hostname, port: Number(target.port) }
  }

  /** In front of the URL's server; `url` is the way through it. */
  static async open(target: string): Promise<{ readonly proxy: Proxy; readonly url: string }> {
    const url = new URL(target)
    const proxy = new Proxy(url)
    await new Promise<void>((resolve) => proxy.server.listen(0, "127.0.0.1", resolve))
    const address = proxy.server.address()
    if (address === null || typeof address === "string") throw new Error("the proxy has no port")
    url.hostname = "127.0.0.1"
    url.port = String(address.port)
    return { proxy, url: url.href }
  }

  pass(): void {
    this.mode = "pass"
    for (const socket of this.sockets) socket.resume()
  }

  cut(): void {
    this.mode = "cut"
    for (const socket of this.sockets) socket.resetAndDestroy()
  }

  hang(): void {
    this.mode = "hang"
    for (const socket of this.sockets) socket.pause()
  }

  /** What the broker would say while it cannot store: it takes nothing, and tells so. At a moment when nothing else is under way. */
  block(reason: string): void {
    this.say(BLOCKED, Buffer.from([Buffer.byteLength(reason)]), Buffer.from(reason))
    for (const client of this.clients) client.pause()
  }

  unblock(): void {
    for (const client of this.clients) client.resume()
    this.say(UNBLOCKED)
  }

  private say(...method: ReadonlyArray<Buffer>): void {
    const payload = Buffer.concat(method)
    const head = Buffer.from([1, 0, 0, 0, 0, 0, 0])
    head.writeUInt32BE(payload.length, 3)
    for (const client of this.clients) client.write(Buffer.concat([head, payload, Buffer.from([FRAME_END])]))
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.server.close(resolve))
  }

  private accept(client: Socket): void {
    if (this.mode === "cut") {
      client.resetAndDestroy()
      return this.sayRefused()
    }
    const server = createConnection(this.target)
    this.clients.add(client)
    client.on("close", () => this.clients.delete(client))
    for (const [from, to] of [
      [client, server],
      [server, client]
    ] as const) {
      this.sockets.add(from)
      from.setNoDelay(true)
      from.on("data", (chunk: Buffer) => void to.write(chunk))
      from.on("error", () => to.destroy())
      from.on("close", () => {
        this.sockets.delete(from)
        to.destroy()
      })
      if (this.mode === "hang") from.pause()
    }
  }
}
