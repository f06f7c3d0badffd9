/** Finished jobs as detectors see them, and the episodes that come of what they say: a clock by hand, nothing stored. */
import { actionsOf, type Action, type Findings } from "../../src/policies/detect/Verdict.ts"
import type { Ended } from "../../src/policies/detect/Ended.ts"
import { defaultDetectors, type DetectorRules } from "../../src/schemas/DetectorRules.ts"
import { closed, type Incident, type LastingIncident, opened, sighted } from "../../src/schemas/Incident.ts"
import { freshIncident, freshJob, freshNamespace } from "./recordFactories.ts"

export const MINUTE = 60_000
export const rules: DetectorRules = defaultDetectors
export const QUIET_MS = 6 * rules.windowMs

const namespaceId = freshNamespace()

export const anEnded = (over: Partial<Ended> = {}): Ended => ({
  jobId: freshJob(),
  finishedAt: 0,
  namespaceId,
  model: "tiny",
  nodeId: null,
  subcloud: null,
  state: "completed",
  errorCode: null,
  promptTokens: 10,
  outputTokens: 100,
  queueMs: 0,
  firstTokenMs: 100,
  totalMs: 1000,
  retries: 0,
  failures: [],
  claim: null,
  answer: null,
  ...over
})

export const some = (count: number, over: Partial<Ended> = {}): ReadonlyArray<Ended> =>
  Array.from({ length: count }, () => anEnded(over))

/** What a detector said, pass by pass, and what came of it. */
export class Episodes {
  readonly all: Array<LastingIncident> = []

  get open(): ReadonlyArray<Incident> {
    return this.all.filter(({ episode }) => episode.closedAt === null)
  }

  openOf(subject: string): ReadonlyArray<Incident> {
    return this.open.filter((incident) => incident.subject === subject)
  }

  /** What this pass does. */
  pass(findings: Findings, now: number): ReadonlyArray<Action> {
    const actions = actionsOf(findings, this.open, now, QUIET_MS)
    for (const action of actions) this.apply(action, now)
    return actions
  }

  private apply(action: Action, now: number): void {
    const { type, subject } = action._tag === "Sight" ? action.sighting : action
    const at = this.all.findLastIndex((each) => each.type === type && each.subject === subject)
    const last = this.all[at]
    const isOpen = last !== undefined && last.episode.closedAt === null
    if (action._tag === "Close") {
      if (isOpen) this.all[at] = closed(last, now, action.closedFor)
    } else if (isOpen) this.all[at] = sighted(last, action.sighting)
    else this.all.push(opened(freshIncident(), (last?.episode.number ?? 0) + 1, action.sighting))
  }
}
