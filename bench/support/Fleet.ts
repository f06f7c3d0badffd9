/** The other children of a benchmark: a mock runtime, agents, a bare server. */
import { type Child, start, support } from "./Children.ts"

export interface Listening extends Child {
  readonly port: number
}

const listening = (child: Child): Listening => ({ ...child, port: Number(child.match[1]) })

const PORT = /^ready: (\d+)/

export const runtime = async (): Promise<Listening> =>
  listening(await start({ name: "runtime", args: [support("mockRuntime.ts")], ready: PORT }))

export const bareServer = async (): Promise<Listening> =>
  listening(await start({ name: "bare", args: [support("bareServer.ts")], ready: PORT }))

export interface AgentsOptions {
  readonly daemonUrl: string
  readonly count: number
  readonly slots: number
  /** A simulated one unless given. */
  readonly runtimePort?: number
}

export const agents = ({ daemonUrl, count, slots, runtimePort }: AgentsOptions): Promise<Child> =>
  start({
    name: "agents",
    args: [
      support("agents.ts"),
      `${daemonUrl.replace("http", "ws")}/nodes/connect`,
      String(count),
      String(slots),
      ...(runtimePort === undefined ? [] : [`http://127.0.0.1:${runtimePort}/v1`])
    ],
    ready: /^ready: agents/,
    profiled: true
  })
