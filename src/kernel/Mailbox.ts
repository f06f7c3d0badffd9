/**
 * The messages waiting for one actor: a bounded list, plain data, no waiting and no clock of its own. It costs five words
 * while empty. The bound counts what others sent; the actor's own messages (timers, fork exits, downs) are always taken and
 * never pushed out, see MailboxOptions.
 */
import type { MailboxOptions } from "./Actor.ts"

/** One queued message. `reply` is what the kernel must fail if the message falls out unanswered. */
export class Envelope<out Q> {
  readonly message: unknown
  readonly reply: Q | undefined
  readonly own: boolean
  /** When it was queued, epoch milliseconds. */
  readonly at: number
  next: Envelope<unknown> | undefined = undefined

  constructor(message: unknown, reply: Q | undefined, own: boolean, at: number) {
    this.message = message
    this.reply = reply
    this.own = own
    this.at = at
  }
}

export class Mailbox<in out Q> {
  readonly options: MailboxOptions
  private head: Envelope<Q> | undefined = undefined
  private tail: Envelope<Q> | undefined = undefined
  private others = 0
  depth = 0

  /** Throws for a mailbox that could never take a message: its actor would look alive and hear nothing. */
  constructor(options: MailboxOptions) {
    if (!(options.capacityMax >= 1))
      throw new RangeError(`mailbox capacityMax must be at least 1: ${options.capacityMax}`)
    this.options = options
  }

  /** Queues the envelope and returns the one that fell out for it: none, itself (refuse) or the oldest (dropOldest). */
  offer(envelope: Envelope<Q>): Envelope<Q> | undefined {
    if (envelope.own || this.others < this.options.capacityMax) {
      this.append(envelope)
      return undefined
    }
    if (this.options.whenFull === "refuse") return envelope
    const oldest = this.removeOldest()
    this.append(envelope)
    return oldest
  }

  take(): Envelope<Q> | undefined {
    const first = this.head
    if (first !== undefined) this.remove(first, undefined)
    return first
  }

  /** Forgets the actor's own messages: they were meant for an incarnation that has ended. */
  dropOwn(): void {
    let previous: Envelope<Q> | undefined
    for (let at = this.head; at !== undefined;) {
      const next = at.next as Envelope<Q> | undefined
      if (at.own) this.remove(at, previous)
      else previous = at
      at = next
    }
  }

  /** Milliseconds since the oldest message was queued, 0 when empty (or when the clock was set back). */
  oldestAgeMs(now: number): number {
    return this.head === undefined ? 0 : Math.max(0, now - this.head.at)
  }

  private append(envelope: Envelope<Q>): void {
    if (this.tail === undefined) this.head = envelope
    else this.tail.next = envelope
    this.tail = envelope
    this.depth++
    if (!envelope.own) this.others++
  }

  private removeOldest(): Envelope<Q> | undefined {
    let previous: Envelope<Q> | undefined
    let at = this.head
    while (at !== undefined && at.own) {
      previous = at
      at = at.next as Envelope<Q> | undefined
    }
    if (at !== undefined) this.remove(at, previous)
    return at
  }

  private remove(envelope: Envelope<Q>, previous: Envelope<Q> | undefined): void {
    const next = envelope.next as Envelope<Q> | undefined
    if (previous === undefined) this.head = next
    else previous.next = next
    if (this.tail === envelope) this.tail = previous
    envelope.next = undefined
    this.depth--
    if (!envelope.own) this.others--
  }
}
