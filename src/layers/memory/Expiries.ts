/**
 * What runs out, soonest first: a binary heap whose entries know their place, so that moving or removing one leaves nothing
 * behind. A renewed lease or a heartbeat is a move; the heap is never larger than what is alive.
 */
export interface Expiring {
  expiresAt: number
  /** Its place in the heap; -1 when it is in none. Written by the heap only. */
  heapIndex: number
}

export class Expiries<T extends Expiring> {
  private readonly heap: Array<T> = []

  get size(): number {
    return this.heap.length
  }

  first(): T | undefined {
    return this.heap[0]
  }

  /** Adds the entry, or moves it to its new time. */
  set(entry: T, expiresAt: number): void {
    entry.expiresAt = expiresAt
    if (entry.heapIndex === -1) this.heap.push(entry)
    this.settle(entry, entry.heapIndex === -1 ? this.heap.length - 1 : entry.heapIndex)
  }

  remove(entry: T): void {
    const index = entry.heapIndex
    if (index === -1) return
    entry.heapIndex = -1
    const last = this.heap.pop() as T
    if (last !== entry) this.settle(last, index)
  }

  clear(): void {
    for (const entry of this.heap) entry.heapIndex = -1
    this.heap.length = 0
  }

  private settle(entry: T, from: number): void {
    const heap = this.heap
    let at = from
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = heap[up] as T
      if (parent.expiresAt <= entry.expiresAt) break
      this.put(parent, at)
      at = up
    }
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && (heap[child + 1] as T).expiresAt < (heap[child] as T).expiresAt) child++
      const smaller = heap[child] as T
      if (smaller.expiresAt >= entry.expiresAt) break
      this.put(smaller, at)
      at = child
    }
    this.put(entry, at)
  }

  private put(entry: T, index: number): void {
    this.heap[index] = entry
    entry.heapIndex = index
  }
}
