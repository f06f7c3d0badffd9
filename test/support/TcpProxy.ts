/**
 * A TCP proxy that a test puts in front of a server: it passes what comes, cuts every connection and refuses new ones, or hangs, so that both ends
 * believe in a connection on which nothing moves.
 */
import { connect, createServer, type Server, type Socket } from "node:net"
import { once } from "node:events"

export interface Target {
  readonly host: string
  readonly port: number
}

type Mood = "pass" | "cut" | "hang"

export class TcpProxy {
  readonly target: Target
  private readonly server: Server
  private readonly sockets = new Set<Socket>()
  private mood: Mood = "pass"

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

  async stop(): Promise<void> {
    await this.cut()
    this.server.close()
  }

  private take(socket: Socket): void {
    if (this.mood === "cut") return void socket.destroy()
    const upstream = connect(this.target)
    for (const [from, to] of [
      [socket, upstream],
      [upstream, socket]
    ] as const) {
      this.sockets.add(from)
      from.on("data", (bytes) => {
        if (!to.write(bytes)) from.pause()
      })
      to.on("drain", () => {
        if (this.mood !== "hang") from.resume()
      })
      from.on("error", () => from.destroy())
      from.on("close", () => {
        this.sockets.delete(from)
        to.destroy()
      })
      if (this.mood === "hang") from.pause()
    }
  }
}
