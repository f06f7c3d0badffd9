/**
 * The process of all clients: so many ask at a time, one operation after another, with a moment of thought in between. Told what to do over the channel to
 * the rig: how many, or none and say when the last one is through. What each asks follows from the seed and from nothing that happens.
 */
import { createHash } from "node:crypto"
import { scheduler } from "node:timers/promises"
import { canonicalJson } from "../../src/schemas/CanonicalJson.ts"
import type * as Schema from "effect/Schema"
import { Dice } from "../chaos/support/Dice.ts"
import type { ChatBody } from "../support/Texts.ts"
import type { Customer } from "./Asking.ts"
import { runOp } from "./ClientOp.ts"
import type { Place } from "./ClientWire.ts"
import type { ClientLine, OpKind } from "./History.ts"
import { openJournal } from "./Journal.ts"

export interface ClientsOptions {
  readonly seed: number
  readonly places: ReadonlyArray<Place>
  readonly customers: ReadonlyArray<Customer>
  readonly log: string
}

export type Order =
  | { readonly _tag: "ask"; readonly clients: number }
  | { readonly _tag: "finish" }
  | { readonly _tag: "leave" }
export type Report = { readonly _tag: "ready" } | { readonly _tag: "finished"; readonly open: number }

const KINDS: ReadonlyArray<readonly [OpKind, number]> = [
  ["stream", 30],
  ["sdkStream", 12],
  ["sync", 12],
  ["sdkSync", 8],
  ["polling", 22],
  ["cancel", 6],
  ["leave", 4],
  ["repeat", 6]
]
const UNKEYED = 0.08
const THINK_MS = [50, 500] as const
/** A client that waits longer for its last operation is counted as open. */
const FINISH_MS = 150_000

const { seed, places, customers, log } = JSON.parse(process.argv[2] ?? "{}") as ClientsOptions
const journal = openJournal<ClientLine>(log)
const dice = new Dice(seed).stream("load")
const chance = new Dice(seed).stream("behaviour")
const state = { wanted: 0, running: 0, asked: 0, open: 0 }
const over = new Set<() => void>()

const kindOf = (own: Dice): OpKind => {
  const all = KINDS.reduce((sum, [, weight]) => sum + weight, 0)
  let at = own.next() * all
  for (const [kind, weight] of KINDS) {
    at -= weight
    if (at < 0) return kind
  }
  return "stream"
}

const bodyOf = (own: Dice, { canary }: Customer, question: string): ChatBody => ({
  model: "sim-small",
  messages: [{ role: "user", content: `${canary} ${question} ${"tell me more. ".repeat(own.between(0, 8))}` }],
  ...(own.chance(0.3) ? { min_tokens: own.between(80, 260) } : {}),
  ...(own.chance(0.1) ? { n: 2 } : {}),
  max_tokens: own.chance(0.15) ? own.between(4, 30) : 400
})

const client = async (number: number): Promise<void> => {
  const own = dice.stream(`client ${number}`)
  const behaviour = chance.stream(`client ${number}`)
  while (number < state.wanted) {
    const id = `op${++state.asked}`
    const kind = kindOf(own)
    const at = own.between(0, customers.length - 1)
    const customer = customers[at] as Customer
    const stranger = customers[(at + 1) % customers.length] as Customer
    const body = bodyOf(own, customer, `client ${number} question ${state.asked}`)
    const key = kind !== "repeat" && own.chance(UNKEYED) ? null : `key-${seed}-${id}`
    const write = (line: Record<string, unknown>) => journal.write({ at: Date.now(), op: id, ...line } as ClientLine)
    const bodyHash = createHash("sha256")
      .update(canonicalJson(body as unknown as Schema.Json))
      .digest("hex")
    write({ type: "invoke", client: number, namespaceId: customer.namespaceId, key, kind, body, bodyHash })
    state.open += 1
    try {
      await runOp({
        id,
        kind,
        body,
        key,
        customer,
        stranger,
        anywhere: () => behaviour.pick(places),
        dice: behaviour,
        write
      })
    } catch (cause) {
      // What a client cannot make sense of is a fault of the answer, or of the rig; either way it has to be seen.
      write({
        type: "fault",
        rule: "answer",
        what: cause instanceof Error ? `${cause.message} ${cause.stack?.split("\n")[1] ?? ""}` : String(cause)
      })
      write({ type: "info", why: "the client gave up" })
    }
    state.open -= 1
    await scheduler.wait(own.between(...THINK_MS))
  }
  state.running -= 1
  if (state.running === 0) for (const resolve of over) resolve()
}

const ask = (clients: number): void => {
  state.wanted = clients
  for (; state.running < clients; state.running++) void client(state.running)
}

const finish = async (): Promise<void> => {
  state.wanted = 0
  const quiet = state.running === 0 ? Promise.resolve() : new Promise<void>((resolve) => over.add(resolve))
  await Promise.race([quiet, scheduler.wait(FINISH_MS)])
  over.clear()
  process.send?.({ _tag: "finished", open: state.open } satisfies Report)
}

process.on("message", (order: Order) => {
  if (order._tag === "ask") ask(order.clients)
  else if (order._tag === "finish") void finish()
  else {
    journal.close()
    process.exit(0)
  }
})
// A terminal's interrupt reaches the whole group; it is the rig that says when it is over.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => undefined)
process.once("disconnect", () => process.exit(0))
process.send?.({ _tag: "ready" } satisfies Report)
