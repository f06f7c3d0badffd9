/**
 * What a supervisor sees of a child, be it an actor or another supervisor, and what a child tells its supervisor. All
 * synchronous: ends are reported by callback at the moment they happen, so no fiber stands guard over an idle child.
 */
import type { RestartKind, StopReason } from "./Actor.ts"
import type { RegistryEntry } from "./Registry.ts"
import { Timer } from "./Timers.ts"

export interface Halt {
  /** Let it finish its mailbox within its `drainMax`; otherwise interrupt it now. */
  readonly drain: boolean
  /** It will not be launched again: it takes no new messages. */
  readonly final: boolean
}

export interface Child extends RegistryEntry {
  readonly kind: string
  readonly restart: RestartKind
  /** Its supervisor's notes about it. */
  readonly record: ChildRecord
  /** Is past its `init`. */
  readonly running: boolean
  /** Starts a life, unless there is one. */
  readonly launch: () => void
  /**
   * Ends the present life, if any, and calls `done` when nothing of it runs any more. Repeatable: a second call may add
   * urgency (`drain: false`) or finality, never take it away, and `done` learns the finality reached: after a final halt
   * nobody may launch it. The supervisor hears no `childDown` of an end it asked for.
   */
  readonly halt: (halt: Halt, done: (final: boolean) => void) => void
  /** After its end: never again. Fails what is still queued and frees the address. */
  readonly dispose: () => void
}

/** `ranMs`: how long the life that ended had been past its `init`. */
export interface Parent {
  readonly childRunning: (child: Child) => void
  readonly childDown: (child: Child, reason: StopReason, ranMs: number) => void
  /** Disposes of a child that has no life any more. */
  readonly forget: (child: Child) => void
}

/** Doubles as the timer of the backoff, which most children never need. */
export class ChildRecord extends Timer {
  /** Rises with each start: the order in which a group restarts. */
  readonly order: number
  crashesInARow = 0
  private readonly due: () => void

  constructor(order: number, due: () => void) {
    super()
    this.order = order
    this.due = due
  }

  override fire(): void {
    this.due()
  }
}
