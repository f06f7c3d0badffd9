/** What a campaign comes to: how many schedules and how fast, what was violated, which faults fell where, which paths were taken and which never. */
import { createHash } from "node:crypto"
import { commandFor } from "./Campaign.ts"
import { MARKS, type Mark } from "./support/Coverage.ts"
import type { Sweep } from "./support/Modes.ts"
import type { Report } from "./support/Report.ts"
import { isBroken, type Broken } from "./Tasks.ts"

const TOLD_MAX = 6

export class Tally {
  schedules = 0
  /** Lines that repeat what went wrong. */
  readonly failing: Array<string> = []
  readonly hashes = new Map<string, string>()
  private steps = 0
  private crashes = 0
  private virtualMs = 0
  private readonly states: Record<string, number> = {}
  private readonly marks = new Map<Mark, number>()
  private readonly faults = new Map<string, number>()

  add(report: Report | Broken, without: ReadonlyArray<Sweep>): void {
    this.schedules += 1
    const command = commandFor(report.seed, without)
    if (isBroken(report)) return this.fail(command, [report.why])
    this.hashes.set(command, report.hash)
    this.steps += report.steps
    this.crashes += report.crashes
    this.virtualMs += report.virtualMs
    for (const [state, count] of Object.entries(report.states)) this.states[state] = (this.states[state] ?? 0) + count
    for (const [mark, count] of report.marks) this.marks.set(mark, (this.marks.get(mark) ?? 0) + count)
    for (const hit of report.hit) this.faults.set(hit, (this.faults.get(hit) ?? 0) + 1)
    if (report.violations.length > 0) {
      this.fail(
        command,
        report.violations.map(({ checker, what, atMs }) => `${checker} at ${atMs} ms: ${what}`)
      )
    }
  }

  fail(command: string, what: ReadonlyArray<string>): void {
    this.failing.push(command)
    console.log(`${command}   # ${what.length} violations`)
    for (const line of what.slice(0, TOLD_MAX)) console.log(`  ${line}`)
  }

  /** One number for all of it, whatever order the workers came in. */
  get digest(): string {
    const hash = createHash("sha256")
    for (const line of [...this.hashes].toSorted(([a], [b]) => (a < b ? -1 : 1))) hash.update(line.join(" "))
    return hash.digest("hex").slice(0, 16)
  }

  tell(seconds: number, workers: number): void {
    const { schedules, failing, steps, crashes, states } = this
    const perMinute = Math.round((schedules / seconds) * 60)
    const faster = Math.round(this.virtualMs / 1000 / seconds)
    console.log(`${schedules} schedules in ${seconds.toFixed(1)} s with ${workers} workers: ${perMinute} a minute`)
    console.log(`${failing.length} with violations; ${steps} steps, ${crashes} crashes, ${faster} times real time`)
    console.log(`jobs ${JSON.stringify(states)}`)
    console.log(`event hash ${this.digest}`)
  }

  tellPaths(): void {
    console.log("paths taken:")
    for (const mark of MARKS) console.log(`  ${String(this.marks.get(mark) ?? 0).padStart(9)}  ${mark}`)
    const never = MARKS.filter((mark) => !this.marks.has(mark))
    if (never.length > 0) console.log(`NEVER TAKEN, SO NOT TESTED: ${never.join("; ")}`)
  }

  tellFaults(): void {
    const points = new Map<string, Array<string>>()
    for (const [hit, count] of [...this.faults].toSorted()) {
      const [point = "", kind = ""] = hit.split(" ")
      points.set(point, [...(points.get(point) ?? []), `${kind} ${count}`])
    }
    console.log("faults:")
    for (const [point, kinds] of points) console.log(`  ${point.padEnd(24)} ${kinds.join(", ")}`)
  }
}
