/**
 * Builds the cluster of one run: servers, names within them, links, daemons, disks and clocks; and takes it down again. With the embedded profile there is one
 * daemon with a file of its own, and neither servers nor links.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Dice } from "../chaos/support/Dice.ts"
import { type DaemonHandle, type DaemonPlace, startDaemon } from "./Daemons.ts"
import { mountDisk, unmountDisk } from "./Disks.ts"
import type { DaemonLine } from "./History.ts"
import type { Journal } from "./Journal.ts"
import { lastingPorts } from "./Ports.ts"
import { openStores, type RunStores, type StoreUrls } from "./RunStores.ts"
import { openServers, type Servers } from "./Servers.ts"
import { openPostgres, openSqlite, type StateDb } from "./StateDb.ts"
import { forgetLink, type Link, makeLink } from "./Toxiproxy.ts"

export type Profile = "embedded" | "cluster"

export interface SettingOptions {
  readonly profile: Profile
  /** The daemon's program. */
  readonly program: string
  readonly daemons: number
  /** Names the run within the servers. */
  readonly name: string
  readonly folder: string
  readonly dice: Dice
  readonly journal: Journal<DaemonLine>
  /** Processes of nodes, whose clocks may be shifted too. */
  readonly nodeProcesses: number
}

export interface Setting {
  readonly daemons: ReadonlyArray<DaemonHandle>
  readonly servers: Servers | null
  readonly stores: RunStores | null
  readonly links: ReadonlyMap<string, Link>
  readonly disks: ReadonlyArray<string> | null
  readonly clocks: ReadonlyMap<string, string>
  readonly db: StateDb
  readonly takeDown: () => Promise<void>
}

const STORES = ["postgres", "mongodb", "redis", "rabbitmq"] as const
const CLOCK = pathToFileURL(join(import.meta.dirname, "ClockShift.ts")).href

export const makeSetting = async (options: SettingOptions): Promise<Setting> => {
  const { profile, name, folder, dice, journal, daemons: count } = options
  const servers = profile === "cluster" ? await openServers() : null
  const stores = servers === null ? null : await openStores(servers.urls, name)
  const api = servers?.urls.toxiproxy ?? null
  const ports = await lastingPorts(dice.stream("ports"), count * (2 + STORES.length))
  const links = new Map<string, Link>()
  const clocks = new Map<string, string>()
  const places: Array<DaemonPlace> = []
  for (let at = 0; at < count; at++) {
    const own = ports.slice(at * (2 + STORES.length), (at + 1) * (2 + STORES.length))
    const urls =
      stores === null
        ? null
        : await linked(api, stores.urls, `${name}.d${at}`, own.slice(2), (store, link) =>
            links.set(`${at}/${store}`, link)
          )
    const data = join(folder, `data-d${at}`)
    const clock = clockEnv(folder, `daemon/${at}`, clocks)
    places.push({
      name: `d${at}`,
      port: own[0] ?? 0,
      controlPort: own[1] ?? 0,
      data,
      command: options.program,
      args: [`--profile=${profile}`, "--log=Info", ...(stores === null ? [] : [`--installation=${name}`])],
      env: { ...clock, ...(urls === null ? {} : variablesOf(urls)) }
    })
  }
  for (let at = 0; at < options.nodeProcesses; at++) clockEnv(folder, `nodes/${at}`, clocks)
  const mounted = places.map(({ data }) => mountDisk(data))
  const disks = mounted.every((is) => is) ? places.map(({ data }) => data) : null
  const daemons = await startAll(places, folder, journal)
  const db =
    stores === null ? openSqlite(join(folder, "data-d0", "resultity.db")) : await openPostgres(stores.urls.postgres)
  return {
    daemons,
    servers,
    stores,
    links,
    disks,
    clocks,
    db,
    takeDown: async () => {
      await Promise.all(daemons.map(({ stop }) => stop()))
      await db.close()
      if (api !== null) for (const { name } of links.values()) await forgetLink(api, name)
      for (const { data } of places) unmountDisk(data)
      await stores?.remove()
    }
  }
}

/** The first one makes the tables; the others find them. */
const startAll = async (
  places: ReadonlyArray<DaemonPlace>,
  folder: string,
  journal: Journal<DaemonLine>
): Promise<ReadonlyArray<DaemonHandle>> => {
  const daemons = places.map((place) => startDaemon(place, folder, journal))
  await Promise.all(daemons.map(({ ready }) => ready()))
  return daemons
}

export const clockEnv = (
  folder: string,
  target: string,
  clocks: Map<string, string>
): Readonly<Record<string, string>> => {
  const path = join(folder, `clock-${target.replace("/", "-")}`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(path, "0")
  clocks.set(target, path)
  return clockVariables(path)
}

export const clockVariables = (path: string): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${CLOCK}`,
  RIG_CLOCK_FILE: path
})

const linked = async (
  api: string | null,
  urls: StoreUrls,
  prefix: string,
  ports: ReadonlyArray<number>,
  made: (store: string, link: Link) => void
): Promise<StoreUrls> => {
  if (api === null) return urls
  const through: Record<string, string> = {}
  for (const [at, store] of STORES.entries()) {
    const url = new URL(urls[store])
    const link = await makeLink(api, `${prefix}.${store}`, ports[at] ?? 0, url.host)
    url.host = `127.0.0.1:${link.port}`
    through[store] = url.href
    made(store, link)
  }
  return through as StoreUrls
}

const variablesOf = (urls: StoreUrls): Readonly<Record<string, string>> => ({
  POSTGRES_URL: urls.postgres,
  MONGODB_URL: urls.mongodb,
  REDIS_URL: urls.redis,
  RABBITMQ_URL: urls.rabbitmq
})
