/**
 * A set that can be drawn from fairly: adding, removing and drawing one member cost the same however many there are.
 * The last member takes the place of one that is removed, so the order means nothing; but it follows from the calls alone,
 * and what is drawn from the order and the random numbers: a seed replays.
 */
export class FreeSet<T extends {}> {
  private readonly members: Array<T> = []
  private readonly positions = new Map<T, number>()

  get size(): number {
    return this.members.length
  }

  has(member: T): boolean {
    return this.positions.has(member)
  }

  add(member: T): void {
    if (this.positions.has(member)) return
    this.positions.set(member, this.members.length)
    this.members.push(member)
  }

  delete(member: T): void {
    const position = this.positions.get(member)
    if (position === undefined) return
    this.positions.delete(member)
    const last = this.members.pop() as T
    if (last === member) return
    this.members[position] = last
    this.positions.set(last, position)
  }

  /**
   * At most `max` members that `accept` takes, each with the same chance: a Fisher–Yates shuffle that stops early. Looks at
   * as many members as it returns, and those it does not accept. `random` gives numbers from 0 to below 1.
   */
  draw(max: number, accept: (member: T) => boolean, random: () => number): Array<T> {
    const { members } = this
    const drawn: Array<T> = []
    // Swaps of the shuffle are noted here and not made: writing to a large array and its index costs more than the draw.
    const swapped = new Map<number, T>()
    const memberAt = (position: number) => swapped.get(position) ?? (members[position] as T)
    for (let at = 0; at < members.length && drawn.length < max; at++) {
      const from = at + Math.floor(random() * (members.length - at))
      const chosen = memberAt(from)
      if (from !== at) swapped.set(from, memberAt(at))
      if (accept(chosen)) drawn.push(chosen)
    }
    return drawn
  }
}
