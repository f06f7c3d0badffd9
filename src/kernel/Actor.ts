/**
 * What an actor is: a state, a mailbox, and a function that takes one message at a time. A crash (a failure or a defect
 * of `init` or `receive`) throws the state away; the supervisor decides whether `init` runs again. An idle actor has no
 * fiber: each burst of messages runs in one, so a fiber forked by `Effect.forkChild` inside `receive` ends with that burst.
 * Work that shall outlive a message goes through `self.fork`, resources are acquired in `init` and released in `stop`.
 */
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { ActorRef } from "./ActorRef.ts"

/**
 * Why an incarnation ended. Normal: it asked to (`self.stop`). Shutdown: its supervisor stops it for good. Restarted: an
 * operator, or the strategy because of a sibling's crash. Crashed: its own failure or defect.
 */
export type StopReason =
  | { readonly _tag: "Normal" }
  | { readonly _tag: "Shutdown" }
  | { readonly _tag: "Restarted" }
  | { readonly _tag: "Crashed"; readonly cause: Cause.Cause<unknown> }

/** What a watcher hears, once. NotRunning: there was no incarnation to watch in the first place. */
export interface Down {
  readonly address: string
  readonly reason: StopReason | { readonly _tag: "NotRunning" }
}

/**
 * permanent: restarted always. transient: restarted only after a crash. temporary: never. An actor that is not restarted
 * is forgotten, and its address is free again.
 */
export type RestartKind = "permanent" | "transient" | "temporary"

export interface Behavior<M, S, R = never> {
  /** Runs on each start and restart, before the first message. Failing counts as a crash. */
  readonly init: (self: ActorContext<M>) => Effect.Effect<S, unknown, R>

  /** Handles one message and returns the next state. Never runs twice at once for one actor. */
  readonly receive: (state: S, message: M, self: ActorContext<M>) => Effect.Effect<S, unknown, R>

  /**
   * Runs once at the end of every incarnation whose `init` succeeded, also after a crash, with the state before the
   * message that ended it; then timers and forks are already gone. Gets at most `drainMax` before it is interrupted.
   */
  readonly stop?: (state: S, reason: StopReason, self: ActorContext<M>) => Effect.Effect<void, never, R>
}

/**
 * refuse: a full mailbox answers MailboxFull (commands). dropOldest: the oldest message makes room (heartbeats,
 * progress); a dropped ask fails with MailboxFull. An actor's own messages (timers, fork exits, downs) are always taken:
 * it bounds them itself, and losing one would leave it waiting for ever.
 */
export interface MailboxOptions {
  readonly capacityMax: number
  readonly whenFull: "refuse" | "dropOldest"
}

export interface ActorSpec<M, S, R = never> {
  /** Unique among all live actors and supervisors of a Registry, e.g. `job/<id>`. */
  readonly address: string
  /** What it is, for the tree and the metrics, e.g. `job`. */
  readonly kind: string
  readonly behavior: Behavior<M, S, R>
  /** 256, refuse. */
  readonly mailbox?: MailboxOptions
  readonly restart: RestartKind
  /** How long a drain lets it finish its mailbox, and how long `stop` may take. 5 seconds. */
  readonly drainMax?: Duration.Input
}

/**
 * An actor's view of itself. Belongs to one incarnation: what it started ends with it. Call its functions on it
 * (`self.after(…)`): they are not bound, which keeps idle actors small.
 */
export interface ActorContext<in M> {
  readonly self: ActorRef<M>
  readonly address: string
  /** How often this actor was restarted before this incarnation. */
  readonly restarts: number

  /**
   * Sends `message` to itself after `delay` on the Clock. A later `after` with the same key replaces it, even if it is
   * already due and queued.
   */
  readonly after: (key: string, delay: Duration.Input, message: M) => Effect.Effect<void>
  /** After this the message of that key is not received, even if it was already queued. */
  readonly cancelAfter: (key: string) => Effect.Effect<void>

  /**
   * Hears, once, when the present incarnation of `ref` ends, whether or not it is restarted. If it has none (stopped, or
   * waiting for its restart) the message comes at once with NotRunning.
   */
  readonly watch: (ref: ActorRef<never>, onDown: (down: Down) => M) => Effect.Effect<void>

  /**
   * Runs `effect` beside the mailbox until it ends or the incarnation does. Its exit comes back as a message; without
   * `onExit` a failure crashes the actor, so none is lost.
   */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>, onExit?: (exit: Exit.Exit<A, E>) => M) => Effect.Effect<void>

  /**
   * Ends the actor normally: `return yield* self.stop` leaves the handler, keeps the state from before the message, and
   * nothing further is received.
   */
  readonly stop: Effect.Effect<never>
}
