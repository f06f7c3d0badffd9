/** Chance that can be had again: everything a run decides is drawn from its seed, each concern from a stream of its own. */
export class Dice {
  private state: number
  private readonly seed: number

  constructor(seed: number) {
    this.seed = seed >>> 0
    this.state = this.seed
    // The first draws of neighbouring seeds are alike.
    for (let draw = 0; draw < 4; draw++) this.next()
  }

  /** A stream that does not depend on how much was drawn from this one. */
  stream(name: string): Dice {
    let hash = this.seed ^ 0x9e3779b9
    for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193)
    return new Dice(hash)
  }

  /** From 0 to below 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  chance(of: number): boolean {
    return this.next() < of
  }

  pick<A>(from: ReadonlyArray<A>): A {
    const found = from[Math.floor(this.next() * from.length)]
    if (found === undefined) throw new Error("nothing to pick from")
    return found
  }

  /** Each of them with this chance, at least one. */
  some<A>(from: ReadonlyArray<A>, chance: number): ReadonlyArray<A> {
    const chosen = from.filter(() => this.chance(chance))
    return chosen.length > 0 ? chosen : [this.pick(from)]
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.between(0, 255))
  }
}
