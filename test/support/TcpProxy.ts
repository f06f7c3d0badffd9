/**
 * A TCP proxy that a test puts in front of a server: it passes what comes, cuts every connection and refuses new ones, or hangs, so that both ends
 * believe in a connection on which nothing moves. It can also play the server that froze: what was sent to it arrives when it wakes, after the sender
 * has long given up and gone.
 */
import { connect, createServer, type Server, type Socket } from "node:net"
import { once } from "node:events"

export interface Target {
  readonly host: string
  readonly port: number
}

type Mood = "pass" | "cut" | "hang"

interface Link {
  readonly socket: Socket
  readonly upstream: Socket
}

export class TcpProxy {
  readonly target: Target
  private readonly server: Server
  private readonly sockets = new Set<Socket>()
  private mood: Mood = "pass"
  private readonly links = new Set<Link>()
  /** Connections with a frozen server behind them, and what it will find when it wakes. */
  private readonly frozen = new Map<Link, Array<Buffer>>()

  private constructor(target: Target, server: Server) {
    this.target = target
    this.server = server
    server.on("connection", (socket) => this.take(socket))
  }

  static async start(target: Target): Promise<TcpProxy> {
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    return new TcpProxy(target, server)
  }

  get port(): number {
    const address = this.server.address()
    if (address === null || typeof address === "string") throw new Error("the proxy does not listen")
    return address.port
  }

  /** Takes connections and passes what comes, also on those that hung. */
  async pass(): Promise<void> {
    this.mood = "pass"
    for (const socket of this.sockets) socket.resume()
  }

  /** Breaks what there is, and refuses what comes. */
  async cut(): Promise<void> {
    this.mood = "cut"
    for (const socket of this.sockets) socket.destroy()
  }

  /** Nothing moves any more, on connections that are there and on new ones. */
  async hang(): Promise<void> {
    this.mood = "hang"
    for (const socket of this.sockets) socket.pause()
  }

  /** What is sent on the connections that there are is kept, also when the sender leaves; new connections pass. */
  async freeze(): Promise<void> {
    for (const link of this.links) {
      this.frozen.set(link, [])
      link.upstream.pause()
    }
  }

  /** Whether something was sent since `freeze`. */
  get isKeeping(): boolean {
    return [...this.frozen.values()].some((kept) => kept.length > 0)
  }

  /** Whatever was kept arrives at the server; resolves when it has answered, and hung up on those who are gone. */
  async thaw(): Promise<void> {
    const links = [...this.frozen]
    this.frozen.clear()
    await Promise.all(
      links.map(async ([{ socket, upstream }, kept]) => {
        const isAnswered = kept.length === 0 ? undefined : once(upstream, "data")
        for (const bytes of kept) upstream.write(bytes)
        upstream.resume()
        // Before the end: a server that sees a client leave may not even begin with what it sent.
        await isAnswered
        if (!socket.destroyed || upstream.destroyed) return
        const closed = once(upstream, "close")
        upstream.end()
        await closed
      })
    )
  }

  /** Resolves when so many connections more have come. */
  async attempts(count: number): Promise<void> {
    for (let seen = 0; seen < count; seen++) await once(this.server, "connection")
  }

  async stop(): Promise<void> {
    this.frozen.clear()
    for (const { upstream } of this.links) upstream.destroy()
    await this.cut()
    this.server.close()
  }

  private take(socket: Socket): void {
    if (this.mood === "cut") return void socket.destroy()
    const upstream = connect(this.target)
    const link: Link = { socket, upstream }
    this.links.add(link)
    upstream.on("close", () => this.links.delete(link))
    for (const [from, to] of [
      [socket, upstream],
      [upstream, socket]
    ] as const) {
      this.sockets.add(from)
      from.on("data", (bytes) => {
        const kept = from === socket ? this.frozen.get(link) : undefined
        if (kept !== undefined) kept.push(bytes)
        else if (!to.destroyed && !to.write(bytes)) from.pause()
      })
      to.on("drain", () => {
        if (this.mood !== "hang") from.resume()
      })
      from.on("error", () => from.destroy())
      from.on("close", () => {
        this.sockets.delete(from)
        if (from !== socket || !this.frozen.has(link)) to.destroy()
      })
      if (this.mood === "hang") from.pause()
    }
  }
}
