/** Log entries of no live job, and incidents: each class by its clock, in segments of its own. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Entry, RetiringEntries } from "../../layers/EntryRetention.ts"
import { type Cutoffs, fateOf, segmentIdOf } from "../../policies/Retention.ts"
import { EntryClass, IncidentLine, LogLine } from "../../schemas/Archive.ts"
import { canonicalJson } from "../../schemas/CanonicalJson.ts"
import type { NamespaceId } from "../../schemas/Ids.ts"
import { RECORD_VERSION } from "../../schemas/JobRecord.ts"
import type { Namespace } from "../../schemas/Namespace.ts"
import { putAway } from "./PutAway.ts"
import { type Pass, type RetentionHouse, waits } from "./RetentionPass.ts"

const encodeLog = Schema.encodeSync(LogLine)
const encodeIncident = Schema.encodeSync(IncidentLine)

/** Under a legal hold, what a namespace's jobs left in its log stays until the ceiling. */
const beforeOf = (of: EntryClass, at: Cutoffs, isHeld: boolean): number => (isHeld ? at.ceiling : at[of])

/** Marks what is due of both classes, at most so many; returns how many. */
export const chooseEntries = (
  house: RetentionHouse,
  pass: Pass,
  namespace: Namespace | null,
  at: Cutoffs,
  max: number
) =>
  Effect.gen(function* () {
    let marked = 0
    for (const dataClass of EntryClass.literals) {
      const id = namespace?.id ?? null
      const isHeld = namespace?.rules.held === true
      const before = beforeOf(dataClass, at, isHeld)
      const due = yield* house.entries.expired(dataClass, id, before, max - marked)
      if (due.length === 0 || (yield* waits(pass, dataClass, isHeld))) continue
      marked += yield* house.entries.mark(dataClass, segmentIdOf(id, due, dataClass), due)
    }
    return marked
  })

export const countEntries = ({ entries }: RetentionHouse, id: NamespaceId | null, at: Cutoffs, max: number) =>
  Effect.forEach(EntryClass.literals, (dataClass) =>
    Effect.map(entries.expired(dataClass, id, at[dataClass], max), ({ length }) => [dataClass, length] as const)
  )

export const retireEntries = (
  house: RetentionHouse,
  pass: Pass,
  { segmentId, dataClass, namespaceId }: RetiringEntries
) =>
  Effect.gen(function* () {
    const entries = yield* house.entries.read(dataClass, segmentId)
    if (entries.length === 0) return 0
    const fate = fateOf(dataClass, pass.hasArchive, pass.settings)
    const isHeld = pass.namespaces.find(({ id }) => id === namespaceId)?.rules.held === true
    if (fate._tag === "wait" || (fate._tag === "drop" && isHeld)) return 0
    const times = entries.map(({ at }) => at)
    if (fate._tag === "archive") {
      yield* putAway(
        house,
        {
          id: segmentId,
          dataClass,
          namespaceId,
          recordVersion: RECORD_VERSION,
          from: Math.min(...times),
          to: Math.max(...times),
          createdAt: pass.now,
          lines: entries.map(lineOf)
        },
        segmentIdOf(
          namespaceId,
          entries.map(({ id }) => id),
          dataClass
        ) === segmentId
      )
    }
    return yield* house.entries.prune(dataClass, segmentId)
  })

const lineOf = ({ _tag, entry }: Entry): string =>
  canonicalJson(_tag === "log" ? encodeLog({ log: entry }) : encodeIncident({ incident: entry }))
