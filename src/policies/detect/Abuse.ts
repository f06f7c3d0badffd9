/** A key whose requests are refused again and again, by its own fault: with what is wrong, too large, too fast, or not paid for. */
import type { DetectorRules } from "../../schemas/DetectorRules.ts"
import type { KeyId, NamespaceId } from "../../schemas/Ids.ts"
import { isRefusalCode, REFUSALS } from "../../schemas/Refusal.ts"
import { groupBy } from "./Ended.ts"
import { between, type Findings, type Verdict } from "./Verdict.ts"

export const ABUSE = "abuse"

export interface Refused {
  readonly keyId: KeyId
  readonly namespaceId: NamespaceId | null
  readonly code: string
  readonly requests: number
}

/** A refusal for reasons of ours is nobody's abuse. */
const isOwnFault = (code: string): boolean => isRefusalCode(code) && REFUSALS[code].status < 500

export const judge = (refused: ReadonlyArray<Refused>, { abuse, windowMs }: DetectorRules): Findings => {
  const own = refused.filter(({ code }) => isOwnFault(code))
  const verdicts = [...groupBy(own, ({ keyId }) => keyId).values()].flatMap((rows): ReadonlyArray<Verdict> => {
    const [first] = rows
    if (first === undefined) return []
    const { keyId, namespaceId } = first
    const requests = rows.reduce((sum, row) => sum + row.requests, 0)
    const codes = rows.slice(0, 5).map(({ code, requests }) => ({ code, times: requests }))
    return [
      {
        subject: `key/${keyId}`,
        standing: between(requests, abuse.rejectionsMax / 2, abuse.rejectionsMax + 1),
        severity: "medium",
        namespaceId,
        keyId,
        observed: { refused: requests, windowMs, codes, throttlePerSecond: abuse.throttlePerSecond },
        expected: { refusedMost: abuse.rejectionsMax }
      }
    ]
  })
  return { type: ABUSE, kind: "anomaly", verdicts }
}

/** A key that is silent by now abuses no more: of it there is no row to speak of it. */
export const silent = (openSubjects: ReadonlyArray<string>, { verdicts, ...findings }: Findings): Findings => {
  const said = new Set(verdicts.map(({ subject }) => subject))
  const quiet = openSubjects
    .filter((subject) => !said.has(subject))
    .map((subject): Verdict => ({ subject, standing: "good", severity: "info", observed: {}, expected: {} }))
  return { ...findings, verdicts: [...verdicts, ...quiet] }
}
