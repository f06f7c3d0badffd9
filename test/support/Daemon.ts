/** A real daemon process, and what a customer and an operator say to it. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import OpenAI from "openai"
import type { ApiKey, Namespace } from "../../src/schemas/Namespace.ts"
import type { BalanceView } from "../../src/schemas/openai/JobView.ts"
import { COMMAND, type Process, run, temporaryFolder } from "./Process.ts"

export interface DaemonOptions {
  /** A folder of its own by default. */
  readonly data?: string
  readonly port?: number
  /** Characters of simulated nodes; none by default. */
  readonly nodes?: ReadonlyArray<string>
  readonly args?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

export interface Daemon extends Process {
  readonly url: string
  readonly controlUrl: string
  readonly data: string
  readonly key: string
  /** The WebSocket for nodes. */
  readonly nodesUrl: string
}

/** Resolves when it said that it is ready. */
export const startDaemon = async (options: DaemonOptions = {}): Promise<Daemon> => {
  const data = options.data ?? temporaryFolder()
  const nodes = options.nodes ?? []
  const process = run(
    "daemon",
    [
      COMMAND,
      "daemon",
      `--data=${data}`,
      `--port=${options.port ?? 0}`,
      "--control-port=0",
      ...(nodes.length === 0 ? ["--no-nodes"] : ["--nodes", nodes.join(",")]),
      ...(options.args ?? [])
    ],
    options.env === undefined ? {} : { env: options.env }
  )
  const [, url = "", controlUrl = ""] = await process.line(/^ready: (\S+) \(control ([^,]+), data .*\)$/)
  // A daemon of a cluster has no first key: its customers are made by its operators.
  const keyFile = join(data, "demo.key")
  const key = existsSync(keyFile) ? readFileSync(keyFile, "utf8").trim() : ""
  return { ...process, url, controlUrl, data, key, nodesUrl: `${url.replace("http", "ws")}/nodes/connect` }
}

/** `Body`: what the test takes the answer for; text that is no JSON stays text. */
export interface Answered<Body> {
  readonly status: number
  readonly headers: Headers
  readonly body: Body
}

const answered = async <Body>(response: Response): Promise<Answered<Body>> => {
  const text = await response.text()
  const isJson = (response.headers.get("content-type") ?? "").includes("application/json")
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
}

interface Said {
  readonly body?: unknown
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/** A request of a customer. */
export const ask = async <Body>(
  { url, key }: Daemon,
  method: string,
  path: string,
  said: Said = {}
): Promise<Answered<Body>> => answered(await open({ url, key }, method, path, said))

/** The same, with the body still to be read. */
export const open = (
  { url, key }: { readonly url: string; readonly key: string },
  method: string,
  path: string,
  said: Said = {}
): Promise<Response> =>
  fetch(`${url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${said.key ?? key}`,
      ...(said.body === undefined ? {} : { "content-type": "application/json" }),
      ...said.headers
    },
    ...(said.body === undefined ? {} : { body: JSON.stringify(said.body) }),
    ...(said.signal === undefined ? {} : { signal: said.signal })
  })

/** A look of an operator; anything but 200 is a failure of the test. */
export const look = async <Body>({ controlUrl }: Daemon, path: string): Promise<Body> => {
  const found = await answered<Body>(await fetch(`${controlUrl}${path}`))
  if (found.status !== 200) throw new Error(`GET ${path}: ${found.status} ${JSON.stringify(found.body)}`)
  return found.body
}

/** An order of an operator. */
export const order = async <Body>(
  { controlUrl }: Daemon,
  path: string,
  body: Readonly<Record<string, unknown>> = {}
): Promise<Body> => {
  const done = await answered<Body>(
    await fetch(`${controlUrl}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ reason: "a journey", ...body })
    })
  )
  if (done.status >= 300) throw new Error(`POST ${path}: ${done.status} ${JSON.stringify(done.body)}`)
  return done.body
}

/** The official client. It does not repeat by itself unless the test is about that. */
export const client = (daemon: Daemon, options: ConstructorParameters<typeof OpenAI>[0] = {}): OpenAI =>
  new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: daemon.key, maxRetries: 0, ...options })

/** A client that counts what it really sends. */
export const countingClient = (daemon: Daemon, options: ConstructorParameters<typeof OpenAI>[0] = {}) => {
  const sent: Array<string> = []
  const counting: typeof fetch = (input, init) => {
    sent.push(String(input))
    return fetch(input, init)
  }
  return { sent, openai: client(daemon, { maxRetries: 2, ...options, fetch: counting }) }
}

/** Whole micro-credits of a decimal string of credits. */
export const micro = (credits: string): bigint => {
  const [whole = "0", part = ""] = credits.split(".")
  return BigInt(whole) * 1_000_000n + BigInt(part.padEnd(6, "0"))
}

export interface Balance {
  readonly granted: bigint
  readonly available: bigint
  readonly reserved: bigint
  readonly spent: bigint
}

export const balance = async (daemon: Daemon, key = daemon.key): Promise<Balance> => {
  const { body } = await ask<BalanceView>(daemon, "GET", "/v1/balance", { key })
  const { granted, available, reserved, spent } = body
  return { granted: micro(granted), available: micro(available), reserved: micro(reserved), spent: micro(spent) }
}

/** A second customer, with credits (a decimal string) and a key of his own. */
export const newCustomer = async (
  daemon: Daemon,
  { name, credits = null, ratePerSecond = 1000 }: { name: string; credits?: string | null; ratePerSecond?: number }
) => {
  const { namespace } = await order<{ namespace: Namespace }>(daemon, "/control/namespaces", {
    name,
    environment: "testnet"
  })
  if (credits !== null) {
    await order(daemon, `/control/namespaces/${namespace.id}/grant`, { amount: credits, reference: name })
  }
  const { key, secret } = await order<{ key: ApiKey; secret: string }>(daemon, "/control/keys", {
    namespaceId: namespace.id,
    ratePerSecond
  })
  return { namespaceId: namespace.id, keyId: key.id, key: secret }
}
