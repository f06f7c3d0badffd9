/**
 * The real servers, reached through a script that knows `up, env, start, stop, kill, pause, resume NAME`; the environment variable RESULTITY_SERVERS says
 * where it is. Without one the URLs must be in the environment, and no server can be faulted: only daemons, nodes and links.
 */
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { scheduler } from "node:timers/promises"

export type ServerName = "postgres" | "rabbitmq" | "redis" | "mongodb" | "documents" | "toxiproxy"

export interface ServerUrls {
  readonly postgres: string
  readonly mongodb: string
  readonly redis: string
  readonly rabbitmq: string
  readonly management: string | null
  readonly toxiproxy: string | null
}

export interface Servers {
  readonly urls: ServerUrls
  /** null: they cannot be touched. */
  readonly act: ((action: "start" | "stop" | "kill" | "pause" | "resume", name: ServerName) => Promise<void>) | null
}

const ROOT = join(import.meta.dirname, "..", "..")
const NEIGHBOUR = join(ROOT, "..", "shared", "services", "services")
const PATIENCE_MS = 120_000

const scriptPath = (): string | null => {
  const given = process.env["RESULTITY_SERVERS"]
  if (given !== undefined && given !== "") return given
  return existsSync(NEIGHBOUR) ? NEIGHBOUR : null
}

const call = (script: string, args: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve, reject) => {
    // What it starts must not hold our pipes open, so its errors are not read.
    const child = spawn(script, [...args], {
      stdio: ["ignore", args[0] === "env" ? "pipe" : "ignore", "ignore"],
      timeout: PATIENCE_MS
    })
    let said = ""
    child.stdout?.on("data", (bytes: Buffer) => (said += bytes.toString("utf8")))
    child.once("error", reject)
    child.once("exit", (code) =>
      code === 0 ? resolve(said) : reject(new Error(`${script} ${args.join(" ")} ended with ${code}`))
    )
  })

const variablesIn = (text: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...text.matchAll(/^export ([A-Z_0-9]+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value])
  )

const urlsOf = (env: Readonly<Record<string, string | undefined>>): ServerUrls => {
  const needed = (name: string): string => {
    const url = env[name]
    if (url === undefined || url === "")
      throw new Error(`${name} is not set, and RESULTITY_SERVERS names no script that knows it`)
    return url
  }
  return {
    postgres: needed("POSTGRES_URL"),
    mongodb: needed("MONGODB_URL"),
    redis: needed("REDIS_URL"),
    rabbitmq: needed("RABBITMQ_URL"),
    management: env["RABBITMQ_MANAGEMENT_URL"] ?? null,
    toxiproxy: env["TOXIPROXY_URL"] ?? null
  }
}

/** All of them up. */
export const openServers = async (): Promise<Servers> => {
  const script = scriptPath()
  if (script === null) return { urls: urlsOf(process.env), act: null }
  await call(script, ["up"])
  await call(script, ["start", "toxiproxy"])
  const urls = urlsOf(variablesIn(await call(script, ["env"])))
  return {
    urls,
    act: async (action, name) => {
      await call(script, [action, name])
      if (action !== "start") return
      // A server that was killed a moment ago may still have been taken for alive.
      for (let tries = 0; tries < STARTS_MAX && !(await answers(urls, name)); tries++) {
        await scheduler.wait(AGAIN_AFTER_MS)
        await call(script, [action, name])
      }
    }
  }
}

const STARTS_MAX = 10
const AGAIN_AFTER_MS = 500

/** Whether somebody listens; true for a server that has no address of its own. */
const answers = (urls: ServerUrls, name: ServerName): Promise<boolean> => {
  const url = name === "documents" ? null : urls[name]
  if (url === null) return Promise.resolve(true)
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    const end = (is: boolean) => {
      socket.destroy()
      resolve(is)
    }
    socket.once("connect", () => end(true))
    socket.once("error", () => end(false))
  })
}
