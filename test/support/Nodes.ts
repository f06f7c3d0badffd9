/** Nodes as processes, and how the daemon sees them. */
import { join } from "node:path"
import type { Character } from "../../src/agent/SimulatedRuntime.ts"
import { type Daemon, look } from "./Daemon.ts"
import type { NodeChildOptions } from "./NodeChild.ts"
import { COMMAND, type Process, run, temporaryFolder } from "./Process.ts"
import { until } from "./Until.ts"

export interface NodeLine {
  readonly nodeId: string
  readonly name: string
  readonly lifecycle: string
  readonly link: string
  readonly leased: number
  readonly models: ReadonlyArray<string>
  readonly restrictions: ReadonlyArray<{ readonly kind: string }>
}

export const nodeLines = async (daemon: Daemon): Promise<ReadonlyArray<NodeLine>> =>
  (await look<{ data: ReadonlyArray<NodeLine> }>(daemon, "/control/nodes")).data

/** Waits until this node serves. */
export const activeNode = (daemon: Daemon, name: string): Promise<NodeLine> =>
  until(`node ${name} to be active`, async () =>
    (await nodeLines(daemon)).find(
      (node) => node.name === name && node.lifecycle === "active" && node.link === "online"
    )
  )

export const allActive = async (daemon: Daemon, names: ReadonlyArray<string>): Promise<void> => {
  for (const name of names) await activeNode(daemon, name)
}

export interface SimulatedNode extends Partial<Omit<NodeChildOptions, "character">> {
  readonly name: string
  readonly character?: Partial<Character>
}

/** A quick, reliable runtime unless the test says otherwise. */
const CHARACTER: Character = { tokensPerSecond: 200, firstTokenMs: 10, breaks: 0 }

/** Starts the process; it may take a moment to be active. */
export const startNode = (
  nodesUrl: string | ReadonlyArray<string>,
  { name, character, ...more }: SimulatedNode
): Process => {
  const options: NodeChildOptions = {
    url: nodesUrl,
    identity: join(temporaryFolder(), "node.key"),
    name,
    slots: 32,
    seed: 1,
    ...more,
    character: { ...CHARACTER, ...character }
  }
  return run(`node ${name}`, [join(import.meta.dirname, "NodeChild.ts"), JSON.stringify(options)])
}

export interface RuntimeNode {
  readonly name: string
  /** Base URL of an OpenAI-compatible server. */
  readonly runtime: string
  /** Path of the key file; a new one by default. */
  readonly key?: string
  readonly args?: ReadonlyArray<string>
}

/** `resultity node` beside a runtime. */
export const startRuntimeNode = (daemon: Daemon, { name, runtime, key, args = [] }: RuntimeNode): Process =>
  run(`node ${name}`, [
    COMMAND,
    "node",
    "--json",
    `--runtime=${runtime}`,
    `--daemon=${daemon.url}`,
    `--name=${name}`,
    `--key=${key ?? join(temporaryFolder(), "node.key")}`,
    ...args
  ])
