/**
 * The handle by which one speaks to an actor. It names an address, not an incarnation: it stays valid across restarts,
 * and messages queued before a crash are handled by the next incarnation (as with a named OTP process, except that the
 * mailbox survives). Only the message whose handling crashed is lost. Delivery is at most once and, from one sender to
 * one actor, in order.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { ActorStopped, AskTimedOut, MailboxFull } from "./ActorErrors.ts"

export { ActorStopped, AskTimedOut, MailboxFull } from "./ActorErrors.ts"

/** The return address of one ask. Plain synchronous calls; the first one counts, later ones do nothing. */
export interface Reply<in A, in E = never> {
  readonly succeed: (value: A) => void
  readonly fail: (error: E) => void
  readonly done: (exit: Exit.Exit<A, E>) => void
}

export interface ActorRef<in M> {
  readonly address: string

  /** Queues the message and returns. Success means queued, not handled. */
  readonly tell: (message: M) => Effect.Effect<void, MailboxFull | ActorStopped>

  /** `tell` for callers outside an Effect: false where `tell` would have failed. */
  readonly tellUnsafe: (message: M) => boolean

  /**
   * Queues the message made with a fresh Reply and waits for the answer. The reply may be kept in the state and given
   * later. If the incarnation that received the message ends first, the ask fails with ActorStopped at once; a question
   * that is still queued when its actor restarts waits for the next incarnation. An actor that asks itself, or two that
   * ask each other, wait until AskTimedOut.
   */
  readonly ask: <A, E = never>(
    make: (reply: Reply<A, E>) => M,
    timeout: Duration.Input
  ) => Effect.Effect<A, E | MailboxFull | ActorStopped | AskTimedOut>
}
