/** How each fault is really done, and made good. What cannot be done here (no server script, no link, no folder of its own) is said and not tried. */
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { scheduler } from "node:timers/promises"
import type { DaemonHandle } from "./Daemons.ts"
import type { Hand } from "./Nemesis.ts"
import type { NodesHandle } from "./Nodes.ts"
import type { RunStores } from "./RunStores.ts"
import type { ServerName, Servers } from "./Servers.ts"
import type { Fault } from "./Timeline.ts"
import type { Link, LinkFault } from "./Toxiproxy.ts"

export interface Cluster {
  readonly daemons: ReadonlyArray<DaemonHandle>
  readonly nodes: () => ReadonlyArray<NodesHandle>
  readonly servers: Servers | null
  readonly stores: RunStores | null
  /** By `<daemon>/<server>`. */
  readonly links: ReadonlyMap<string, Link>
  /** Folders of daemons that can be filled without harm; by number. */
  readonly disks: ReadonlyArray<string> | null
  /** Files that hold how far a clock is off, by target. */
  readonly clocks: ReadonlyMap<string, string>
}

/** A daemon that does not come back within this time is a finding. */
const BACK_MS = 90_000
const FILLER = "filler"
const FILLER_BYTES = 1024 * 1024

const partsOf = ({ target }: Fault): readonly [string, string, string] => {
  const [kind = "", first = "", second = ""] = target.split("/")
  return [kind, first, second]
}

export const cannotIn =
  (cluster: Cluster) =>
  (fault: Fault): string | null => {
    const [, first, second] = partsOf(fault)
    switch (fault.kind) {
      case "server.kill":
      case "server.pause":
        return (cluster.servers?.act ?? null) === null ? "no script for the servers" : null
      case "redis.flush":
        return cluster.stores === null ? "no Redis" : null
      case "rabbitmq.wipe":
        return (cluster.stores?.wipeRabbit ?? null) === null ? "no management API of RabbitMQ" : null
      case "link.cut":
      case "link.slow":
      case "link.halfOpen":
      case "link.blackHole":
        return cluster.links.has(`${first}/${second}`) ? null : "no links"
      case "disk.full":
        return cluster.disks === null ? "no folders that may be filled (needs root and tmpfs)" : null
      case "clock.jump":
        return cluster.clocks.has(fault.target) ? null : "no clock to shift"
      default:
        return null
    }
  }

export const handOf =
  (cluster: Cluster): Hand =>
  async (fault) => {
    const [, first, second] = partsOf(fault)
    const daemon = cluster.daemons[Number(first)]
    const nodes = cluster.nodes()[Number(first)]
    switch (fault.kind) {
      case "daemon.kill":
        await daemon?.kill()
        return async () => void (await within(daemon?.ready(), `${daemon?.name} to come back`))
      case "daemon.pause":
        return frozen(daemon)
      case "daemon.term": {
        const rolled = daemon?.roll()
        return async () => {
          const code = await within(rolled, `${daemon?.name} to come back`)
          if (code !== 0) throw new Error(`${daemon?.name} left with code ${code}`)
        }
      }
      case "nodes.kill":
        nodes?.signal("SIGKILL")
        return nothing
      case "nodes.pause":
        return frozen(nodes)
      case "server.kill":
        return server(cluster, "kill", "start", first as ServerName)
      case "server.pause":
        return server(cluster, "pause", "resume", first as ServerName)
      case "redis.flush":
        await cluster.stores?.flushRedis()
        return nothing
      case "rabbitmq.wipe":
        await cluster.stores?.wipeRabbit?.()
        return nothing
      case "disk.full":
        return full(cluster.disks?.[Number(first)] ?? "")
      case "clock.jump": {
        const path = cluster.clocks.get(fault.target) ?? ""
        writeFileSync(path, String(fault.byMs ?? 0))
        return async () => writeFileSync(path, "0")
      }
      default: {
        const link = cluster.links.get(`${first}/${second}`)
        await link?.fault(fault.kind.slice("link.".length) as LinkFault)
        return async () => link?.heal()
      }
    }
  }

const nothing = () => Promise.resolve()

const within = async <A>(promise: Promise<A> | undefined, what: string): Promise<A | undefined> => {
  const late = scheduler.wait(BACK_MS).then((): never => {
    throw new Error(`waited ${BACK_MS} ms for ${what}`)
  })
  return Promise.race([promise, late])
}

const frozen = (what: { readonly signal: (signal: NodeJS.Signals) => boolean } | undefined) => {
  what?.signal("SIGSTOP")
  return async () => void what?.signal("SIGCONT")
}

const server = async (
  { servers }: Cluster,
  harm: "kill" | "pause",
  good: "start" | "resume",
  name: ServerName
): Promise<() => Promise<void>> => {
  await servers?.act?.(harm, name)
  return async () => servers?.act?.(good, name)
}

const full = async (folder: string): Promise<() => Promise<void>> => {
  const path = join(folder, FILLER)
  const file = openSync(path, "w")
  const bytes = Buffer.alloc(FILLER_BYTES)
  try {
    for (;;) if (writeSync(file, bytes) < bytes.length) break
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOSPC") throw cause
  } finally {
    closeSync(file)
  }
  return async () => rmSync(path, { force: true })
}
