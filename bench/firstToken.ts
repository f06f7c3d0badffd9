/**
 * What do daemon and agent add to the first token of a stream? The same chat request, one at a time, by turns directly to a mock runtime that
 * answers at once and through a daemon with an agent beside that runtime, each in its own process. Time until the first chunk with content.
 */
import { Agent, request } from "node:http"
import { syncMs } from "./support/Disk.ts"
import { type Line, millis, quantile, times } from "./support/Line.ts"
import * as Daemon from "./support/Daemon.ts"
import { agents as startAgents, runtime as startRuntime } from "./support/Fleet.ts"

const WARM = 300
const SAMPLES = 400
const TOKENS = 16
const ANSWER_MAX_MS = 10_000

interface Target {
  readonly port: number
  readonly headers: Readonly<Record<string, string>>
}

const keepAlive = new Agent({ keepAlive: true, maxSockets: 1 })

const body = JSON.stringify({
  model: "mock",
  max_tokens: TOKENS,
  stream: true,
  messages: [{ role: "user", content: "Say something." }]
})
const HAS_CONTENT = /"content":"[^"]/

/** Milliseconds until the first content; returns when the answer is complete. */
const firstContent = ({ port, headers }: Target): Promise<number> =>
  new Promise((resolve, reject) => {
    const from = performance.now()
    let first: number | undefined
    let jobId: string | string[] | undefined
    // Not a silence: a stream that waits says that it is alive.
    const timer = setTimeout(() => {
      const what = jobId === undefined ? "no answer" : `no content from ${jobId}`
      asked.destroy(new Error(`${what} within ${ANSWER_MAX_MS} ms`))
    }, ANSWER_MAX_MS)
    const asked = request(
      {
        port,
        host: "127.0.0.1",
        method: "POST",
        path: "/v1/chat/completions",
        agent: keepAlive,
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers }
      },
      (response) => {
        let text = ""
        jobId = response.headers["x-job-id"]
        response.setEncoding("utf8")
        response.on("data", (chunk: string) => {
          if (first !== undefined) return
          text += chunk
          if (HAS_CONTENT.test(text)) first = performance.now() - from
        })
        response.on("end", () => {
          clearTimeout(timer)
          if (first === undefined) reject(new Error(`${response.statusCode}: ${text}`))
          else resolve(first)
        })
        response.on("error", reject)
      }
    )
    asked.on("error", reject)
    asked.end(body)
  })

export interface FirstTokens {
  readonly direct: ReadonlyArray<number>
  readonly through: ReadonlyArray<number>
}

/** In milliseconds, one pair a request. */
export const measureFirstTokens = async (options: Pick<Daemon.DaemonStart, "cluster"> = {}): Promise<FirstTokens> => {
  await using runtime = await startRuntime()
  await using daemon = await Daemon.start({ ...options, profiled: true })
  await using _agents = await startAgents({ daemonUrl: daemon.url, count: 1, slots: 8, runtimePort: runtime.port })
  await Daemon.untilActive(daemon, 1)
  const bare = { port: runtime.port, headers: {} }
  const served = { port: daemon.port, headers: daemon.authorization }
  const direct: Array<number> = []
  const through: Array<number> = []
  for (let at = 0; at < WARM + SAMPLES; at++) {
    const measured = [await firstContent(bare), await firstContent(served)] as const
    if (at < WARM) continue
    direct.push(measured[0])
    through.push(measured[1])
  }
  keepAlive.destroy()
  return { direct, through }
}

export const linesOf = ({ direct, through }: FirstTokens, beside: string): Array<Line> =>
  ([0.5, 0.95] as const).map((share) => {
    const [one, other] = [quantile(direct, share), quantile(through, share)]
    return {
      what: `added time to first token, one at a time, p${share * 100}`,
      value: millis(other - one),
      against: `${millis(one)} directly, ${millis(other)} through; ${beside}`,
      ratio: times(other / one)
    }
  })

export const run = async (): Promise<Array<Line>> =>
  linesOf(await measureFirstTokens(), `a durable write ${millis(syncMs())}`)

if (import.meta.main) console.table(await run())
