import { Effect, Layer, Logger } from "effect"
import { createServer } from "node:http"
import { connect } from "node:net"
import { fork } from "node:child_process"
import { makeWorld, World, pieces, ended, chat } from "./World.ts"
const load = (port: number, bytes: string, ms: number, isEnd: (b: Buffer) => boolean) => new Promise<number>((resolve) => {
  let n = 0; let stop = false
  const socks: any[] = []
  for (let i = 0; i < 50; i++) {
    const s = connect(port, "127.0.0.1"); socks.push(s)
    s.setNoDelay(true)
    s.on("data", (b) => { if (isEnd(b)) { n++; if (!stop) s.write(bytes) } })
    s.on("error", () => {})
    s.write(bytes)
  }
  setTimeout(() => { stop = true; const r = n / ms * 1000; socks.forEach((s) => s.destroy()); resolve(r) }, ms)
})
if (process.argv[2] === "server") {
  const bare = createServer((q, r) => { r.setHeader("content-type", "application/json"); r.end('{"status":"ok"}') }).listen(0, "127.0.0.1", () => {
    Effect.runPromise(Effect.scoped(Effect.gen(function* () {
      const w = yield* World
      w.play({ takes: [[pieces("Hel", "lo"), ended()]] })
      setInterval(() => { (w.admitted as any).length = 0 }, 100)
      process.send!({ bare: (bare.address() as any).port, url: w.url, key: w.key })
      return yield* Effect.never
    })).pipe(Effect.provide(makeWorld({ logs: process.argv[3] === "logs", ratePerSecond: 100000 })), Effect.provide(Logger.layer([Logger.consoleJson]))) as any)
  })
} else {
  for (const logs of ["nologs", "logs"]) {
    const child = fork(new URL(import.meta.url).pathname, ["server", logs], { stdio: ["ignore", "ignore", "inherit", "ipc"] })
    const info: any = await new Promise((r) => child.once("message", r))
    const port = Number(new URL(info.url).port)
    const get = (p: string) => `GET ${p} HTTP/1.1\r\nhost: x\r\n\r\n`
    const any = () => true
    await load(info.bare, get("/"), 1000, any); await load(port, get("/healthz"), 1000, any)
    const body = JSON.stringify(chat()); 
    const post = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${info.key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    const sbody = JSON.stringify(chat({ stream: true }))
    const spost = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${info.key}\r\ncontent-type: application/json\r\ncontent-length: ${sbody.length}\r\n\r\n${sbody}`
    await load(port, post, 1000, any)
    for (let i = 0; i < 2; i++) console.log(logs, "bare", await load(info.bare, get("/"), 2000, any), "healthz", await load(port, get("/healthz"), 2000, any), "chat", await load(port, post, 2000, any), "stream", await load(port, spost, 2000, (b) => b.includes("0\r\n\r\n")), "balance", await load(port, `GET /v1/balance HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${info.key}\r\n\r\n`, 2000, any))
    child.kill()
  }
}
