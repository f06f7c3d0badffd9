/** What a run did, as one number: every turn, every step of time, every call with what came of it. Two runs with the same hash went the same way. */

export class EventHash {
  private high = 0x811c9dc5
  private low = 0x9e3779b9
  private readonly known = new Map<string, number>()

  add(value: number): void {
    const low = Math.imul(this.low ^ value, 0x85ebca6b)
    this.low = low ^ (low >>> 13)
    this.high = Math.imul(this.high ^ this.low, 0x01000193) ^ (this.high >>> 15)
  }

  /** For texts that come again and again. */
  name(text: string): void {
    let hash = this.known.get(text)
    if (hash === undefined) this.known.set(text, (hash = hashOf(text)))
    this.add(hash)
  }

  text(text: string): void {
    this.add(hashOf(text))
  }

  /** What a call was given or gave, as far as it tells one course of things from another. */
  value(value: unknown): void {
    if (typeof value === "string") this.text(value)
    else if (typeof value === "number") this.add(value)
    else if (typeof value === "boolean") this.add(value ? 1 : 2)
    else if (Array.isArray(value)) this.add(value.length)
    else if (typeof value === "object" && value !== null) this.fields(value as Record<string, unknown>)
    else this.add(3)
  }

  private fields(fields: Record<string, unknown>): void {
    for (const field of FIELDS) {
      const value = fields[field]
      if (typeof value === "string") this.text(value)
      else if (typeof value === "number") this.add(value)
    }
  }

  toString(): string {
    return [this.high, this.low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("")
  }
}

const FIELDS = ["_tag", "jobId", "id", "why", "epoch", "attempt", "state", "seq", "firstSeq", "lastSeq"]

const hashOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash
}
