/**
 * One class of waiting jobs, shared between namespaces by weighted deficit round robin: in each round a namespace may be served as often
 * as its weight. The ring is kept as round numbers, because only those namespaces may be served whose pool has
 * capacity: one that could not be served is not paid back later, it takes part again in the round that goes on.
 *
 * Who joins, joins for the next round, at its end. So leaving and joining again gains nothing.
 */
import { OrderedHeap } from "./OrderedHeap.ts"

export interface Ranked {
  readonly namespaceId: string
  readonly pool: string
  readonly weight: number
  /** Oldest first; `id` decides between equals. */
  readonly since: number
  readonly id: string
}

interface Turn<E extends Ranked> {
  round: number
  /** Place in the ring. */
  readonly order: number
  /** What is left of this round's share. */
  left: number
  weight: number
  /** The namespace's jobs by pool; none is empty. */
  readonly queues: Map<string, OrderedHeap<E>>
}

export class FairLevel<E extends Ranked> {
  readonly #turns = new Map<string, Turn<E>>()
  /** By pool: the namespaces that wait for it. */
  readonly #pools = new Map<string, OrderedHeap<Turn<E>>>()
  #round = 0
  #joined = 0

  /** `again`: it was served and nothing came of it, so its namespace gets the turn back and need not wait for the next round. */
  enter(entry: E, again: boolean): void {
    const known = this.#turns.get(entry.namespaceId)
    if (known !== undefined && again) this.#refund(known)
    const turn = known ?? this.#join(entry, again ? this.#round : this.#round + 1)
    turn.weight = entry.weight
    let queue = turn.queues.get(entry.pool)
    if (queue === undefined) {
      queue = new OrderedHeap<E>(isOlder)
      turn.queues.set(entry.pool, queue)
      this.#ringOf(entry.pool).push(turn)
    }
    queue.push(entry)
  }

  leave(entry: E): void {
    const turn = this.#turns.get(entry.namespaceId)
    const queue = turn?.queues.get(entry.pool)
    if (turn === undefined || queue === undefined || !queue.remove(entry) || queue.size > 0) return
    turn.queues.delete(entry.pool)
    const ring = this.#ringOf(entry.pool)
    ring.remove(turn)
    if (ring.size === 0) this.#pools.delete(entry.pool)
    if (turn.queues.size === 0) this.#turns.delete(entry.namespaceId)
  }

  /** Whose turn it is among the pools with capacity. */
  first(capable: (pool: string) => boolean): E | undefined {
    const open = [...this.#pools].filter(([pool]) => capable(pool))
    for (;;) {
      let best: { turn: Turn<E>; entry: E } | undefined
      for (const [pool, ring] of open) {
        const turn = ring.peek()
        const entry = turn?.queues.get(pool)?.peek()
        if (turn === undefined || entry === undefined) continue
        if (best === undefined || isAhead({ turn, entry }, best)) best = { turn, entry }
      }
      if (best === undefined || best.turn.round >= this.#round) return best?.entry
      this.#move(best.turn, this.#round)
    }
  }

  /** Takes out what `first` returned and charges its namespace. */
  serve(entry: E): void {
    const turn = this.#turns.get(entry.namespaceId)
    if (turn === undefined) return
    this.#round = Math.max(this.#round, turn.round)
    this.leave(entry)
    turn.left -= 1
    if (turn.left <= 0) this.#move(turn, turn.round + 1)
  }

  /** The reverse of the charge in `serve`. */
  #refund(turn: Turn<E>): void {
    if (turn.left < turn.weight) turn.left += 1
    else {
      this.#move(turn, turn.round - 1)
      turn.left = 1
    }
  }

  #join({ namespaceId, weight }: E, round: number): Turn<E> {
    const turn: Turn<E> = { round, order: this.#joined++, left: weight, weight, queues: new Map() }
    this.#turns.set(namespaceId, turn)
    return turn
  }

  /** A new round is a new share; nothing of the old one is kept. */
  #move(turn: Turn<E>, round: number): void {
    turn.round = round
    turn.left = turn.weight
    for (const pool of turn.queues.keys()) this.#pools.get(pool)?.moved(turn)
  }

  #ringOf(pool: string): OrderedHeap<Turn<E>> {
    const known = this.#pools.get(pool)
    if (known !== undefined) return known
    const ring = new OrderedHeap<Turn<E>>(isEarlier)
    this.#pools.set(pool, ring)
    return ring
  }
}

const isOlder = (a: Ranked, b: Ranked): boolean => a.since < b.since || (a.since === b.since && a.id < b.id)

const isEarlier = (a: { round: number; order: number }, b: { round: number; order: number }): boolean =>
  a.round < b.round || (a.round === b.round && a.order < b.order)

/** One namespace may be first in several pools: then its oldest job. */
const isAhead = <E extends Ranked>(a: { turn: Turn<E>; entry: E }, b: { turn: Turn<E>; entry: E }): boolean =>
  a.turn === b.turn ? isOlder(a.entry, b.entry) : isEarlier(a.turn, b.turn)
