/** A server that says of itself what a test wants (INFO), knows the time that it wants (TIME), and does what a doctor's probes ask. */
import { once } from "node:events"
import { createServer, type Server, type Socket } from "node:net"

export interface FakeRedisOptions {
  readonly info: string
  /** Ahead of ours, in milliseconds. */
  readonly clockMs?: number
}

const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`

export class FakeRedis {
  private readonly server: Server
  private readonly sockets = new Set<Socket>()
  private readonly options: FakeRedisOptions

  private constructor(server: Server, options: FakeRedisOptions) {
    this.server = server
    this.options = options
    server.on("connection", (socket) => {
      this.sockets.add(socket)
      socket.on("error", () => socket.destroy())
      socket.on("data", (bytes) => {
        for (const command of commandsOf(bytes.toString())) socket.write(this.answer(command))
      })
    })
  }

  static async start(options: FakeRedisOptions): Promise<FakeRedis> {
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    return new FakeRedis(server, options)
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.server.address() as { readonly port: number }).port}`
  }

  stop(): void {
    this.server.close()
    for (const socket of this.sockets) socket.destroy()
  }

  private answer([name = ""]: ReadonlyArray<string>): string {
    const { info, clockMs = 0 } = this.options
    if (name === "info") return bulk(info)
    if (name === "ping") return "+PONG\r\n"
    if (name !== "time") return "-NOPERM this user has no permissions to run it\r\n"
    const now = Date.now() + clockMs
    return `*2\r\n${bulk(String(Math.floor(now / 1000)))}${bulk(String((now % 1000) * 1000))}`
  }
}

/** `*n`, then n pairs of a length and a text; a driver writes whole commands. */
const commandsOf = (text: string): ReadonlyArray<ReadonlyArray<string>> =>
  text
    .split(/^\*\d+\r\n/m)
    .filter((part) => part !== "")
    .map((part) => part.split("\r\n").filter((_, at) => at % 2 === 1))
