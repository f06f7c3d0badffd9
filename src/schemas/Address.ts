/** Where an actor is spoken to. The same name works within a process and across daemons. */
import type { DaemonId, JobId, NodeId } from "./Ids.ts"

export const jobAddress = (id: JobId): string => `job/${id}`
export const nodeAddress = (id: NodeId): string => `node/${id}`
export const daemonAddress = (id: DaemonId): string => `daemon/${id}`
/** null: it is not the address of a daemon. */
export const daemonAt = (address: string | null): DaemonId | null =>
  address?.startsWith("daemon/") === true ? (address.slice("daemon/".length) as DaemonId) : null
export const sweeperAddress = (name: string): string => `sweeper/${name}`
export const DISPATCHER = "dispatcher"
