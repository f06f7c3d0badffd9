/**
 * Sets of prompts with known answers, by version. A version is never changed and never removed, so that a trial can say for good what it was judged by.
 * They hold texts, and stand with the records.
 */
import { createHash } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import type { EvaluationSet, EvaluationSetId, EvaluationSetLine } from "../schemas/Quality.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import type { Outage } from "./Outage.ts"

/** Of one installation, at most. */
export const SETS_MAX = 1000

export interface Driver {
  /** Stores the version that follows `set.version - 1` of this set; false when it is there already, and nothing changed. */
  readonly append: (set: EvaluationSet) => Effect.Effect<boolean, Outage>
  /** The newest version of each, by id. */
  readonly list: Effect.Effect<ReadonlyArray<EvaluationSetLine>, Outage>
  /** This version; null: the newest. Null when there is none. */
  readonly get: (id: EvaluationSetId, version: number | null) => Effect.Effect<EvaluationSet | null, Outage>
  /** Versions, newest first. */
  readonly history: (id: EvaluationSetId, limit: number) => Effect.Effect<ReadonlyArray<EvaluationSetLine>, Outage>
}

/** What somebody wrote, and who, when and why. */
export type SetDraft = Omit<EvaluationSet, "version" | "sha256">

export class EvaluationSets extends Context.Service<
  EvaluationSets,
  {
    /** Afterwards its newest version is this one. The same content as the newest has: no new version. Refused, `conflict`: there are too many sets. */
    readonly add: (draft: SetDraft) => Effect.Effect<EvaluationSet, Refusal | Outage>
    readonly list: Driver["list"]
    readonly get: Driver["get"]
    readonly history: Driver["history"]
  }
>()("resultity/layers/EvaluationSets") {}

export const digestOf = ({
  endpoint,
  models,
  prompts
}: Pick<EvaluationSet, "endpoint" | "models" | "prompts">): string =>
  createHash("sha256").update(canonicalJson({ endpoint, models, prompts })).digest("hex")

export const lineOf = ({ prompts, ...set }: EvaluationSet): EvaluationSetLine => ({ ...set, prompts: prompts.length })

export const make = (driver: Driver): EvaluationSets["Service"] =>
  EvaluationSets.of({
    add: Effect.fn("EvaluationSets.add")(function* (draft) {
      const sha256 = digestOf(draft)
      while (true) {
        const latest = yield* driver.get(draft.id, null)
        if (latest?.sha256 === sha256) return latest
        if (latest === null && (yield* driver.list).length >= SETS_MAX) {
          return yield* refuse("conflict", `There are ${SETS_MAX} evaluation sets, and no more may be.`)
        }
        const next: EvaluationSet = { ...draft, sha256, version: (latest?.version ?? 0) + 1 }
        if (yield* driver.append(next)) return next
      }
    }),
    list: driver.list,
    get: Effect.fn("EvaluationSets.get")(driver.get),
    history: driver.history
  })
