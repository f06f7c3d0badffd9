/** A way to the server that can be cut on order: at once, or with the next answer, after the server has done what was asked. */
import { connect, createServer, type Server, type Socket } from "node:net"
import { Redacted } from "effect"
import { serverUrl } from "./PgSchema.ts"

export interface PgProxy {
  readonly url: Redacted.Redacted
  readonly port: number
  /** The next answer of the server to anybody is swallowed, and its connection with it. Resolves when that has happened. */
  readonly swallowNextAnswer: () => Promise<void>
  /** From now on nothing passes, and nobody is told. */
  readonly freeze: () => void
  /** Ends every connection and takes no new one. */
  readonly close: () => Promise<void>
}

/** On a port that is free, or on this one. */
export const openProxy = async (port = 0): Promise<PgProxy> => {
  const sockets = new Set<Socket>()
  let swallow: (() => void) | undefined
  let frozen = false
  const server: Server = createServer((client) => {
    const upstream = connect(Number(serverUrl.port || 5432), serverUrl.hostname)
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on("error", end).on("close", () => {
        sockets.delete(socket)
        end()
      })
    }
    client.on("data", (data) => void (frozen || upstream.write(data)))
    upstream.on("data", (data) => {
      if (frozen) return
      if (swallow === undefined) return client.write(data)
      end()
      swallow()
      swallow = undefined
    })
  })
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
  const address = server.address() as { readonly port: number }
  const url = new URL(serverUrl)
  url.hostname = "127.0.0.1"
  url.port = String(address.port)
  return {
    url: Redacted.make(url.href),
    port: address.port,
    swallowNextAnswer: () => new Promise<void>((resolve) => (swallow = resolve)),
    freeze: () => void (frozen = true),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      })
  }
}
