/**
 * What a waiting job and a connected node cost in the daemon's memory: heap and what lies beside it, after garbage collection, by the daemon's own
 * account. Jobs wait because the only slot is busy for good; those beyond the prefetch wait in their lane, those within it have an actor. Beside it:
 * a bare server that keeps the parsed bodies, and the sockets.
 */
import * as Children from "./support/Children.ts"
import * as Daemon from "./support/Daemon.ts"
import * as Fleet from "./support/Fleet.ts"
import { bytes, type Line, times } from "./support/Line.ts"
import * as Load from "./support/Load.ts"
import * as Probe from "./support/Probe.ts"

const IN_LANE = 5_000
const IN_ROOM = 900
const NODES = 300
const CONNECTIONS = 32

const body = JSON.stringify({
  model: "mock",
  input: { max_tokens: 16, messages: [{ role: "user", content: "STALL: say nothing until somebody hangs up." }] }
})
const json = { "content-type": "application/json" }

const bytesEach = async (child: Children.Child, count: number, make: () => Promise<unknown>): Promise<number> => {
  const before = await Probe.used(child)
  await make()
  return ((await Probe.used(child)).heapBytes - before.heapBytes) / count
}

/** Submits so many and returns when all are accepted. */
const submit = (generator: Children.Child, daemon: Daemon.Daemon, count: number) =>
  Load.measure(generator, {
    port: daemon.port,
    connections: Math.min(count, CONNECTIONS),
    method: "POST",
    path: "/v1/jobs",
    headers: { ...json, ...daemon.authorization },
    body,
    warmMs: 0,
    forMs: 120_000,
    count
  })

/** One job runs and never ends, some have warmed everything up, and the rest are measured. */
const waiting = async (generator: Children.Child, prefetch: number, count: number): Promise<number> => {
  await using runtime = await Fleet.runtime()
  await using daemon = await Daemon.start({
    flags: Probe.flags,
    ipc: true,
    args: ["--lane-prefetch", String(prefetch), "--drain-ms", "0"]
  })
  await using _agents = await Fleet.agents({ daemonUrl: daemon.url, count: 1, slots: 1, runtimePort: runtime.port })
  await Daemon.untilActive(daemon, 1)
  await submit(generator, daemon, CONNECTIONS * 2)
  return await bytesEach(daemon.child, count, () => submit(generator, daemon, count))
}

const keeper = async () =>
  Children.start({
    name: "keeper",
    args: [...Probe.flags, Children.support("bareKeeper.ts")],
    ready: /^ready: (\d+)/,
    ipc: true
  })

const bodies = async (generator: Children.Child): Promise<number> => {
  await using server = await keeper()
  const load = { port: Number(server.match[1]), connections: CONNECTIONS, method: "POST", path: "/" }
  const keep = (count: number) =>
    Load.measure(generator, { ...load, headers: json, body, warmMs: 0, forMs: 60_000, count })
  await keep(CONNECTIONS * 2)
  return await bytesEach(server, IN_LANE, () => keep(IN_LANE))
}

const sockets = async (): Promise<number> => {
  await using server = await keeper()
  const open = (count: number) =>
    Children.start({
      name: "sockets",
      args: [Children.support("sockets.ts"), `ws://127.0.0.1:${server.match[1]}`, String(count)],
      ready: /^ready/
    })
  await using _warm = await open(10)
  let opened: Children.Child | undefined
  try {
    return await bytesEach(server, NODES, async () => void (opened = await open(NODES)))
  } finally {
    await opened?.[Symbol.asyncDispose]()
  }
}

const nodes = async (): Promise<number> => {
  await using daemon = await Daemon.start({ flags: Probe.flags, ipc: true })
  const connect = async (count: number, active: number) => {
    const agents = await Fleet.agents({ daemonUrl: daemon.url, count, slots: 4 })
    await Daemon.untilActive(daemon, active)
    return agents
  }
  await using _warm = await connect(10, 10)
  let agents: Children.Child | undefined
  try {
    return await bytesEach(daemon.child, NODES, async () => void (agents = await connect(NODES, NODES + 10)))
  } finally {
    await agents?.[Symbol.asyncDispose]()
  }
}

export const run = async (): Promise<Array<Line>> => {
  await using generator = await Load.start()
  const kept = await bodies(generator)
  const inLane = await waiting(generator, 1, IN_LANE)
  const inRoom = await waiting(generator, 1_000, IN_ROOM)
  const bare = await sockets()
  const node = await nodes()
  const line = (what: string, value: number, floor: number, of: string): Line => ({
    what,
    value: bytes(value),
    against: `${bytes(floor)} ${of}`,
    ratio: times(value / floor)
  })
  return [
    line(`a job that waits in its lane (${IN_LANE})`, inLane, kept, "its parsed body"),
    line(`a job that waits for a slot, with its actor (${IN_ROOM})`, inRoom, kept, "its parsed body"),
    line(`a connected node (${NODES})`, node, bare, "a bare WebSocket")
  ]
}

if (import.meta.main) console.table(await run())
