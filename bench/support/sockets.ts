/** Opens so many WebSockets, `sockets.ts URL COUNT`, and holds them. Ready when all are open. */
import { once } from "node:events"
import { WebSocket } from "ws"

const [url = "", count = "1"] = process.argv.slice(2)
const held: Array<WebSocket> = []
for (let at = 0; at < Number(count); at++) {
  const socket = new WebSocket(url, { perMessageDeflate: false })
  await once(socket, "open")
  held.push(socket)
}
console.log(`ready: ${held.length}`)
process.once("SIGTERM", () => process.exit(0))
