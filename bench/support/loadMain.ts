/**
 * The load generator, in a process of its own: so many connections, each sends its next request when the last one is answered. It speaks HTTP
 * over bare sockets, because a client that costs more than the server would measure itself.
 */
import { createConnection } from "node:net"
import { performance } from "node:perf_hooks"
import type { Load, Measured } from "./Load.ts"

const HEAD_END = Buffer.from("\r\n\r\n")
const SILENCE_MAX_MS = 20_000

interface Tally {
  readonly latencies: Array<number>
  answered: number
  failures: number
  lastFailure: string
}

/** One connection from its first request to the answer of its last; reads answers that have a Content-Length. */
const drive = (load: Load, request: Buffer, tally: Tally, goesOn: () => boolean, measures: () => boolean) =>
  new Promise<void>((resolve, reject) => {
    const socket = createConnection({ port: load.port, host: "127.0.0.1", noDelay: true })
    let rest: Buffer = Buffer.alloc(0)
    let sentAt = 0
    let done = false
    const send = () => {
      sentAt = performance.now()
      socket.write(request)
    }
    const answered = (head: string, body: Buffer) => {
      const measured = measures()
      tally.answered += 1
      if (!head.startsWith("HTTP/1.1 2")) {
        tally.failures += 1
        tally.lastFailure = `${head.slice(0, head.indexOf("\r\n"))} ${body.toString("utf8").slice(0, 300)}`
      } else if (measured) tally.latencies.push(performance.now() - sentAt)
      if (goesOn()) send()
      else {
        done = true
        socket.destroy()
      }
    }
    socket.setTimeout(SILENCE_MAX_MS, () => socket.destroy(new Error(`no answer within ${SILENCE_MAX_MS} ms`)))
    socket.on("connect", send)
    socket.on("data", (chunk) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const end = rest.indexOf(HEAD_END)
      if (end === -1) return
      const head = rest.toString("latin1", 0, end)
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN)
      if (Number.isNaN(length)) return void socket.destroy(new Error(`no Content-Length in: ${head}`))
      const size = end + HEAD_END.length + length
      if (rest.length < size) return
      const body = rest.subarray(end + HEAD_END.length, size)
      rest = rest.subarray(size)
      answered(head, body)
    })
    socket.on("error", reject)
    socket.on("close", () => (done ? resolve() : reject(new Error("the server closed a connection"))))
  })

const requestOf = ({ method, path, headers, body }: Load): Buffer => {
  const text = body ?? ""
  const fields = Object.entries({ host: "127.0.0.1", "content-length": String(Buffer.byteLength(text)), ...headers })
  const lines = [`${method} ${path} HTTP/1.1`, ...fields.map(([name, value]) => `${name}: ${value}`)]
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${text}`)
}

const measure = async (load: Load): Promise<Measured> => {
  const tally: Tally = { latencies: [], answered: 0, failures: 0, lastFailure: "" }
  const from = performance.now() + load.warmMs
  const until = from + load.forMs
  let begun = 0
  const count = load.count ?? Number.POSITIVE_INFINITY
  const goesOn = () => performance.now() < until && ++begun < count
  const measures = () => {
    const now = performance.now()
    return now >= from && (now < until || load.count !== undefined)
  }
  begun += load.connections - 1
  const request = requestOf(load)
  const all = Array.from({ length: load.connections }, () => drive(load, request, tally, goesOn, measures))
  await Promise.all(all)
  const tookMs = (load.count === undefined ? until : performance.now()) - from
  const { latencies, answered, failures, lastFailure } = tally
  const sorted = latencies.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
  return {
    perSecond: (latencies.length * 1000) / tookMs,
    answered,
    p50: at(0.5),
    p95: at(0.95),
    failures,
    lastFailure
  }
}

process.on("message", (load: Load) => {
  measure(load).then(
    (measured) => process.send?.(measured),
    (cause: unknown) => process.send?.({ error: String(cause) })
  )
})
console.log("ready")
