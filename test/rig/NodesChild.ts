/**
 * One process with several nodes: the real agent, each with a character. `node NodesChild.ts <options as JSON>`. What each node computes and is told
 * stands in the process's log. Keys are kept in a folder, so a process that is started again brings the same nodes back.
 */
import { Effect } from "effect"
import { join } from "node:path"
import * as Agent from "../../src/agent/Agent.ts"
import { Dice } from "../chaos/support/Dice.ts"
import { openAnywhere } from "./Anywhere.ts"
import type { NodeLine } from "./History.ts"
import { openJournal } from "./Journal.ts"
import { type CharacterName, rigRuntime } from "./RigRuntime.ts"
import { tapSockets } from "./WireTap.ts"

export interface NodesChildOptions {
  readonly name: string
  readonly seed: number
  readonly characters: ReadonlyArray<CharacterName>
  readonly slots: number
  /** Ports of the daemons. */
  readonly daemons: ReadonlyArray<number>
  readonly keys: string
  readonly log: string
}

const { name, seed, characters, slots, daemons, keys, log } = JSON.parse(process.argv[2] ?? "{}") as NodesChildOptions
const dice = new Dice(seed).stream(name)
const journal = openJournal<NodeLine>(log)
const write = (line: Record<string, unknown>) => journal.write({ at: Date.now(), ...line } as NodeLine)

tapSockets(
  {
    result: (node, { jobId, attempt, epoch, outputTokens }) =>
      write({ node, type: "result", jobId, attempt, epoch, outputTokens }),
    settled: (node, { jobId, attempt, status }) => write({ node, type: "settled", jobId, attempt, status })
  },
  dice.stream("tap")
)

/** As whoever runs a node would: one that gave up is started again. */
const AGAIN_AFTER = "3 seconds"

const runNode = Effect.fnUntraced(function* (node: string, character: CharacterName, port: number) {
  let running = 0
  const said = new Map<string, { readonly pieces: number; readonly lied: boolean }>()
  const runtime = rigRuntime(character, dice.stream(node), {
    began: ({ jobId, attempt, epoch }) => write({ node, type: "began", jobId, attempt, epoch, running: ++running }),
    said: ({ jobId, attempt }, pieces, lied) => {
      // A lie counts from its first piece: the process may not live to tell of it later.
      if (lied && !said.has(`${jobId}/${attempt}`)) write({ node, type: "said", jobId, attempt, pieces, lied })
      said.set(`${jobId}/${attempt}`, { pieces, lied })
    },
    over: ({ jobId, attempt }) => {
      running -= 1
      const { pieces, lied } = said.get(`${jobId}/${attempt}`) ?? { pieces: 0, lied: false }
      said.delete(`${jobId}/${attempt}`)
      write({ node, type: "said", jobId, attempt, pieces, lied })
    }
  })
  const agent = yield* Agent.start({
    url: `ws://127.0.0.1:${port}/nodes/connect?node=${node}${character === "repeating" ? "&repeats=1" : ""}`,
    identity: join(keys, `${node}.key`),
    environment: "testnet",
    name: node,
    slots,
    runtime,
    gpus: Effect.succeed([]),
    log: (message) => {
      if (message === "registered") write({ node, type: "registered" })
    }
  })
  write({ node, type: "born", nodeId: agent.nodeId, character, slots })
  return yield* agent.done
}, Effect.scoped)

const keepNode = (node: string, character: CharacterName, port: number) =>
  runNode(node, character, port).pipe(
    Effect.catch((failed) => Effect.sync(() => write({ node, type: "gone", why: failed.message }))),
    Effect.andThen(Effect.sleep(AGAIN_AFTER)),
    Effect.forever
  )

const program = Effect.gen(function* () {
  const { port } = yield* Effect.promise(() => openAnywhere(daemons, dice.stream("anywhere")))
  const asked = Effect.callback<void>((resume) => void process.once("SIGTERM", () => resume(Effect.void)))
  const nodes = characters.map((character, at) => keepNode(`${name}-${at}-${character}`, character, port))
  yield* Effect.raceFirst(
    Effect.all(nodes, { concurrency: "unbounded", discard: true }).pipe(Effect.andThen(Effect.never)),
    asked
  )
})

const open = setInterval(() => undefined, 60_000)
await Effect.runPromise(Effect.scoped(program))
clearInterval(open)
journal.close()
process.exit(0)
