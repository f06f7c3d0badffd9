/**
 * Who lives here, by address: one flat map for actors and supervisors alike, so an address is unique in the process.
 * It is a telephone book and no owner: supervisors enter and remove their children. `find` says who holds an address
 * now; by the time the message arrives the actor may have stopped, which the tell then says.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { ActorRef } from "./ActorRef.ts"

export type ActorStatus = "starting" | "running" | "restarting" | "draining" | "stopped"

export interface ActorSnapshot {
  readonly address: string
  readonly kind: string
  readonly status: ActorStatus
  readonly restarts: number
  readonly mailboxDepth: number
  /** How long the oldest queued message has waited; 0 when none has. */
  readonly oldestAgeMs: number
  /** Start of the present (or last) incarnation, epoch milliseconds. */
  readonly startedAt: number
  /** Tag and message of the last crash. */
  readonly lastCrash?: string
  readonly children: ReadonlyArray<ActorSnapshot>
}

/** What a supervisor enters. `ref` is absent for a supervisor: it takes no messages. */
export interface RegistryEntry {
  readonly address: string
  readonly ref: ActorRef<never> | undefined
  /** True for a supervisor that has no parent: the tree begins there. */
  readonly root: boolean
  readonly snapshot: () => ActorSnapshot
}

export class Registry extends Context.Service<
  Registry,
  {
    /** M is the caller's word: the registry does not know what an actor understands. */
    readonly find: <M = never>(address: string) => Option.Option<ActorRef<M>>
    /** False, and nothing entered, when the address is taken. */
    readonly register: (entry: RegistryEntry) => boolean
    /** Removes this very entry; a later holder of the same address is not touched. */
    readonly unregister: (entry: RegistryEntry) => void
    readonly list: Effect.Effect<ReadonlyArray<ActorRef<never>>>
    /** Every root supervisor with all below it. */
    readonly tree: Effect.Effect<ReadonlyArray<ActorSnapshot>>
  }
>()("resultity/kernel/Registry") {
  static readonly layer = Layer.sync(Registry, () => {
    const entries = new Map<string, RegistryEntry>()
    const all = () => Array.from(entries.values())
    return Registry.of({
      find: <M>(address: string) => Option.fromNullishOr(entries.get(address)?.ref as ActorRef<M> | undefined),
      register: (entry) => {
        if (entries.has(entry.address)) return false
        entries.set(entry.address, entry)
        return true
      },
      unregister: (entry) => {
        if (entries.get(entry.address) === entry) entries.delete(entry.address)
      },
      list: Effect.sync(() => all().flatMap((entry) => (entry.ref === undefined ? [] : [entry.ref]))),
      tree: Effect.sync(() =>
        all()
          .filter((entry) => entry.root)
          .map((entry) => entry.snapshot())
      )
    })
  })
}
