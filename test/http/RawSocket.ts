/** Bytes on a socket, for what no HTTP client would send. */
import { connect } from "node:net"
import { Effect } from "effect"
import { World } from "./World.ts"

/** Everything that comes back until the server closes, or says a whole answer of which the caller has seen enough. */
export const exchange = (bytes: string | Uint8Array, enough: (text: string) => boolean = () => false) =>
  Effect.flatMap(World, ({ url }) =>
    Effect.promise(
      () =>
        new Promise<string>((resolve) => {
          const { hostname, port } = new URL(url)
          const socket = connect(Number(port), hostname)
          let text = ""
          const done = () => {
            socket.destroy()
            resolve(text)
          }
          socket.on("data", (chunk) => {
            text += chunk.toString("latin1")
            if (enough(text)) done()
          })
          socket.on("close", done)
          socket.on("error", done)
          socket.write(bytes)
        })
    )
  )

/** A whole answer whose body stands under a content-length. */
export const isWhole = (text: string): boolean => {
  const end = text.indexOf("\r\n\r\n")
  const length = /content-length: (\d+)/i.exec(text)?.[1]
  return end !== -1 && length !== undefined && text.length >= end + 4 + Number(length)
}

export const statusOf = (text: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0)
