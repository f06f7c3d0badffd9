/** The real daemon as a child, in a folder of its own on embedded stores, with a key that no rate limit holds back. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { dropInstallation } from "../../test/support/Installation.ts"
import { type Child, start as startChild } from "./Children.ts"

export interface Daemon extends AsyncDisposable {
  readonly child: Child
  readonly port: number
  readonly url: string
  /** Of the API key. */
  readonly secret: string
  /** JSON in, JSON out; throws for what is no success. */
  readonly control: <A>(path: string, body?: object) => Promise<A>
  readonly authorization: { readonly authorization: string }
}

export interface DaemonStart {
  readonly nodes?: string
  readonly args?: ReadonlyArray<string>
  /** Flags of node. */
  readonly flags?: ReadonlyArray<string>
  readonly ipc?: boolean
  readonly profiled?: boolean
  /** False: without credits and key, so nothing happened before the start is looked at. */
  readonly account?: boolean
  /** On the real servers that the environment names, in an installation that is gone afterwards. */
  readonly cluster?: boolean
  /** Warn unless given, so that what nodes come and go writes no lines into the measurement. */
  readonly log?: string
}

const READY = /^ready: (http:\/\/\S+) \(control (http:\/\/[^,]+),/
const RATE = 100_000
const CREDITS = "1000000"

export const start = async (options: DaemonStart = {}): Promise<Daemon> => {
  const folder = mkdtempSync(join(tmpdir(), "resultity-bench-"))
  // A benchmark that is interrupted ends without its `using` blocks; the child is dead by then.
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  process.once("exit", remove)
  const installation = `bench_${process.pid}_${Date.now().toString(36)}`
  const profile = options.cluster === true ? ["--profile", "cluster", "--installation", installation] : []
  const nodes = options.nodes === undefined ? ["--no-nodes"] : ["--nodes", options.nodes]
  const where = ["daemon", "--data", folder, "--port", "0", "--control-port", "0", "--log", options.log ?? "Warn"]
  try {
    const child = await startChild({
      name: "daemon",
      args: [...(options.flags ?? []), "bin/resultity.js", ...where, ...profile, ...nodes, ...(options.args ?? [])],
      ready: READY,
      ...(options.ipc === undefined ? {} : { ipc: options.ipc }),
      ...(options.profiled === undefined ? {} : { profiled: options.profiled })
    })
    const [, url = "", controlUrl = ""] = child.match
    const control = controlOf(controlUrl)
    const dispose = async () => {
      await child[Symbol.asyncDispose]()
      process.off("exit", remove)
      remove()
      if (options.cluster === true) await dropInstallation(installation)
    }
    try {
      const secret = options.account === false ? "" : await openAccount(control)
      const authorization = { authorization: `Bearer ${secret}` }
      const port = Number(new URL(url).port)
      return { child, port, url, secret, control, authorization, [Symbol.asyncDispose]: dispose }
    } catch (cause) {
      await dispose()
      throw cause
    }
  } catch (cause) {
    process.off("exit", remove)
    remove()
    throw cause
  }
}

const controlOf =
  (url: string): Daemon["control"] =>
  async <A>(path: string, body?: object) => {
    const sent =
      body === undefined
        ? {}
        : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
    const response = await fetch(`${url}${path}`, sent)
    const text = await response.text()
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`)
    return JSON.parse(text) as A
  }

/** A cluster has no first namespace. */
const openNamespace = async (control: Daemon["control"], reason: string): Promise<string> => {
  const body = { name: "bench", environment: "testnet", reason }
  const { namespace } = await control<{ namespace: { id: string } }>("/control/namespaces", body)
  return namespace.id
}

const openAccount = async (control: Daemon["control"]): Promise<string> => {
  const { data } = await control<{ data: Array<{ id: string }> }>("/control/namespaces")
  const reason = "benchmark"
  const namespaceId = data[0]?.id ?? (await openNamespace(control, reason))
  await control(`/control/namespaces/${namespaceId}/grant`, { amount: CREDITS, reference: "bench", reason })
  const { secret } = await control<{ secret: string }>("/control/keys", { namespaceId, ratePerSecond: RATE, reason })
  return secret
}

interface NodeLine {
  readonly lifecycle: string
  readonly link: string
}

const LOOK_EVERY_MS = 20
const LOOKS_MAX = 3_000

/** Returns when so many nodes have passed their test. The control listener has no event for that, so it is asked. */
export const untilActive = async ({ control }: Daemon, count: number): Promise<void> => {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const { data } = await control<{ data: Array<NodeLine> }>("/control/nodes")
    if (data.filter(({ lifecycle, link }) => lifecycle === "active" && link === "online").length >= count) return
    await new Promise((resume) => setTimeout(resume, LOOK_EVERY_MS))
  }
  throw new Error(`${count} nodes did not become active`)
}
