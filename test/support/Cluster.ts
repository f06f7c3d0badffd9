/**
 * Several daemon processes over the real servers, in an installation of their own that is gone after the test. Skipped, aloud, where the four servers
 * are not configured.
 */
import { Redis } from "ioredis"
import { onTestFinished } from "vitest"
import { type Daemon, type DaemonOptions, newCustomer, startDaemon } from "./Daemon.ts"
import { dropInstallation, missingServers, urlOf } from "./Installation.ts"
import { lastingPort } from "./Process.ts"

export { missingServers } from "./Installation.ts"

/** For the name of a suite that is skipped: why. */
export const whySkipped = missingServers.length === 0 ? "" : ` (skipped: set ${missingServers.join(", ")})`

/** Redis has databases by number: one for journeys, so that flushing it is nobody else's loss. */
const REDIS_DATABASE = 9

const redisUrl = (): string => {
  const url = new URL(urlOf("REDIS_URL"))
  url.pathname = `/${REDIS_DATABASE}`
  return url.href
}

export interface Cluster {
  readonly installation: string
  readonly daemons: ReadonlyArray<Daemon>
  /** One more, or one again: on its old port and folder when these are given. */
  readonly start: (options?: DaemonOptions) => Promise<Daemon>
  /** A customer's key that every daemon knows. */
  readonly key: string
  /** Where nodes connect: any of the first daemons. */
  readonly nodeUrls: ReadonlyArray<string>
  readonly redis: Redis
}

export interface ClusterOptions {
  readonly daemons: number
  readonly args?: ReadonlyArray<string>
}

let born = 0

export const startCluster = async ({ daemons: count, args = [] }: ClusterOptions): Promise<Cluster> => {
  const installation = `journey_${process.pid}_${Date.now().toString(36)}_${++born}`
  onTestFinished(() => dropInstallation(installation))
  const redis = new Redis(redisUrl())
  onTestFinished(() => redis.disconnect())
  const start = async (options: DaemonOptions = {}): Promise<Daemon> => {
    const flags = ["--profile=cluster", `--installation=${installation}`, ...args, ...(options.args ?? [])]
    const env = { REDIS_URL: redisUrl(), ...options.env }
    return startDaemon({ ...options, args: flags, env })
  }
  const daemons: Array<Daemon> = []
  for (let number = 0; number < count; number++) daemons.push(await start({ port: await lastingPort() }))
  const [first] = daemons
  if (first === undefined) throw new Error("a cluster has at least one daemon")
  const { key } = await newCustomer(first, { name: "journeys", credits: "1000000", ratePerSecond: 10_000 })
  return {
    installation,
    daemons: daemons.map((daemon) => ({ ...daemon, key })),
    start: async (options) => ({ ...(await start(options)), key }),
    key,
    nodeUrls: daemons.map(({ nodesUrl }) => nodesUrl),
    redis
  }
}
