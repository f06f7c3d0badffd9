/**
 * One data folder and one address, and daemons that follow each other there: each may be killed at any moment, and whoever talks to the place
 * waits until the next one is ready.
 */
import { type Daemon, type DaemonOptions, startDaemon } from "./Daemon.ts"
import { lastingPort, temporaryFolder } from "./Process.ts"

export interface Reign {
  /** The daemon that is ready, now or next. */
  readonly where: () => Promise<Daemon>
  /** Starts the next one and waits until it is ready. */
  readonly start: () => Promise<Daemon>
  readonly kill: () => Promise<void>
  readonly nodesUrl: string
  readonly data: string
}

export const makeReign = async (options: Omit<DaemonOptions, "data" | "port"> = {}): Promise<Reign> => {
  const data = temporaryFolder()
  const port = await lastingPort()
  let current: Daemon | null = null
  let waiting: Array<(daemon: Daemon) => void> = []
  return {
    data,
    nodesUrl: `ws://127.0.0.1:${port}/nodes/connect`,
    where: () => (current === null ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(current)),
    start: async () => {
      const daemon = await startDaemon({ ...options, data, port })
      current = daemon
      const all = waiting
      waiting = []
      for (const resolve of all) resolve(daemon)
      return daemon
    },
    kill: async () => {
      const daemon = current
      current = null
      await daemon?.kill("SIGKILL")
    }
  }
}
