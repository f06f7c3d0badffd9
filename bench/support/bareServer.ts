/** The floor: node:http that answers everything with the same small text, and nothing else. */
import { createServer } from "node:http"

const text = JSON.stringify({ status: "ok" })
const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) }

const server = createServer((_request, response) => void response.writeHead(200, headers).end(text))
server.keepAliveTimeout = 65_000
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  console.log(`ready: ${typeof address === "object" && address !== null ? address.port : 0}`)
})
process.once("SIGTERM", () => process.exit(0))
