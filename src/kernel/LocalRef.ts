/**
 * The ActorRef of an actor in this process: straight into the mailbox, nothing encoded. Safe to keep after the actor is
 * gone; then every tell and ask fails with ActorStopped.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ActorStopped, AskTimedOut, MailboxFull } from "./ActorErrors.ts"
import type { ActorRef, Reply } from "./ActorRef.ts"
import { AskReply } from "./AskReply.ts"
import type { Incarnation } from "./Incarnation.ts"
import type { Timers } from "./Timers.ts"

/** What a ref needs of its actor. */
export interface Post {
  readonly address: string
  readonly life: Incarnation | undefined
  readonly push: (message: unknown, reply: AskReply | undefined) => MailboxFull | ActorStopped | undefined
}

export class LocalRef implements ActorRef<unknown> {
  private readonly post: Post
  private readonly timers: Timers

  constructor(post: Post, timers: Timers) {
    this.post = post
    this.timers = timers
  }

  get address(): string {
    return this.post.address
  }

  get life(): Incarnation | undefined {
    return this.post.life
  }

  // Fields and not methods: a ref is handed around, and so are its functions.
  readonly tell = (message: unknown): Effect.Effect<void, MailboxFull | ActorStopped> =>
    Effect.suspend((): Effect.Effect<void, MailboxFull | ActorStopped> => {
      return this.post.push(message, undefined) ?? Effect.void
    })

  readonly tellUnsafe = (message: unknown): boolean => this.post.push(message, undefined) === undefined

  readonly ask = <A, E = never>(
    make: (reply: Reply<A, E>) => unknown,
    timeout: Duration.Input
  ): Effect.Effect<A, E | MailboxFull | ActorStopped | AskTimedOut> =>
    Effect.suspend((): Effect.Effect<A, E | MailboxFull | ActorStopped | AskTimedOut> => {
      const reply = new AskReply(this.address, Duration.toMillis(Duration.fromInputUnsafe(timeout)), this.timers)
      const refused = this.post.push(make(reply), reply)
      // What the receiver gives through Reply<A, E> is what comes out, and nothing else but the kernel's own failures.
      return refused ?? (reply.wait() as Effect.Effect<A, E | ActorStopped | AskTimedOut>)
    })
}
