/** First in, first out, at a constant cost however long it grows: an array that is read behind a moving head. */
const COMPACT_MIN = 1_024

export class Fifo<T> {
  private items: Array<T | undefined> = []
  private head = 0

  get size(): number {
    return this.items.length - this.head
  }

  push(item: T): void {
    this.items.push(item)
  }

  shift(): T | undefined {
    const item = this.items[this.head]
    if (this.head === this.items.length) return undefined
    // The slot is emptied at once: what was taken must not be kept alive by the queue.
    this.items[this.head++] = undefined
    if (this.head === this.items.length) this.clear()
    else if (this.head >= COMPACT_MIN && this.head * 2 >= this.items.length) {
      this.items = this.items.slice(this.head)
      this.head = 0
    }
    return item
  }

  clear(): void {
    this.items = []
    this.head = 0
  }
}
