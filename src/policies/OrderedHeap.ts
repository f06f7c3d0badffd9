/**
 * A binary heap that knows where each of its items stands, so that any of them can be removed or moved in O(log n)
 * and nothing dead is kept. Items are held by identity; their order must not change except before `moved`.
 */
export class OrderedHeap<A extends object> {
  readonly #before: (a: A, b: A) => boolean
  readonly #items: Array<A> = []
  readonly #places = new Map<A, number>()

  /** `before` is a strict total order over the items. */
  constructor(before: (a: A, b: A) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#items.length
  }

  /** The first in order. */
  peek(): A | undefined {
    return this.#items[0]
  }

  /** An item that is in already stays where it is. */
  push(item: A): void {
    if (this.#places.has(item)) return
    this.#put(item, this.#items.length)
    this.#rise(item)
  }

  /** False when it was not in. */
  remove(item: A): boolean {
    const place = this.#places.get(item)
    if (place === undefined) return false
    this.#places.delete(item)
    const last = this.#items.pop()
    if (last !== undefined && last !== item) {
      this.#put(last, place)
      this.moved(last)
    }
    return true
  }

  /** Call it after the item's rank changed. */
  moved(item: A): void {
    if (!this.#places.has(item)) return
    this.#rise(item)
    this.#sink(item)
  }

  #put(item: A, place: number): void {
    this.#items[place] = item
    this.#places.set(item, place)
  }

  #rise(item: A): void {
    let place = this.#places.get(item) ?? 0
    while (place > 0) {
      const above = (place - 1) >> 1
      const parent = this.#items[above]
      if (parent === undefined || !this.#before(item, parent)) break
      this.#put(parent, place)
      place = above
    }
    this.#put(item, place)
  }

  #sink(item: A): void {
    let place = this.#places.get(item) ?? 0
    for (;;) {
      const below = this.#firstBelow(place)
      const child = this.#items[below]
      if (child === undefined || !this.#before(child, item)) break
      this.#put(child, place)
      place = below
    }
    this.#put(item, place)
  }

  #firstBelow(place: number): number {
    const left = this.#items[2 * place + 1]
    const right = this.#items[2 * place + 2]
    return left !== undefined && right !== undefined && this.#before(right, left) ? 2 * place + 2 : 2 * place + 1
  }
}
