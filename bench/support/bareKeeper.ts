/**
 * The floor under waiting jobs and connected nodes: a server that keeps the parsed body of each POST, and each WebSocket that comes, and does
 * nothing with them.
 */
import { createServer } from "node:http"
import { WebSocketServer } from "ws"

const bodies: Array<unknown> = []
const sockets: Array<unknown> = []

const server = createServer((request, response) => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => {
    bodies.push(JSON.parse(Buffer.concat(chunks).toString("utf8")))
    response.writeHead(202, { "content-length": 0 }).end()
  })
})
new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket) => void sockets.push(socket))
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  console.log(`ready: ${typeof address === "object" && address !== null ? address.port : 0}`)
})
process.once("SIGTERM", () => process.exit(0))
