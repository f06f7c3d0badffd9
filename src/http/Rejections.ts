/**
 * Remembers refused submissions as incidents, in batches and out of the request's way. What does not fit the buffer while the store is slow
 * or out is counted and dropped: a flood of bad requests must not become a flood of writes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Incidents } from "../layers/Incidents.ts"
import type { FoundKey } from "../layers/ApiKeys.ts"
import { freshIncidentId } from "../schemas/Ids.ts"
import type { Refusal } from "../schemas/Refusal.ts"
import type { Stage } from "./Call.ts"

export const REJECTIONS_MAX = 1_000
const FLUSH_EVERY = "1 second"
const FLUSH_LAST = "2 seconds"

export interface Rejection {
  readonly refusal: Refusal
  readonly stage: Stage
  /** Null: nobody knows whose it was. */
  readonly caller: Pick<FoundKey, "key" | "namespace"> | null
  readonly model: string | null
  readonly at: number
}

export class Rejections extends Context.Service<
  Rejections,
  {
    /** Never waits. False: the buffer is full and this one is only counted. */
    readonly note: (rejection: Rejection) => boolean
    /** Writes what is noted; what the store does not take is lost. */
    readonly flush: Effect.Effect<void>
  }
>()("resultity/http/Rejections") {
  static readonly layer = Layer.effect(
    Rejections,
    Effect.gen(function* () {
      const incidents = yield* Incidents
      let noted: Array<Rejection> = []
      let dropped = 0
      const note = (rejection: Rejection): boolean => {
        const fits = noted.length < REJECTIONS_MAX
        if (fits) noted.push(rejection)
        else dropped += 1
        return fits
      }
      const flush = Effect.gen(function* () {
        const batch = noted
        const lost = dropped
        noted = []
        dropped = 0
        if (lost > 0) yield* Effect.logWarning("rejections dropped", { lost })
        if (batch.length > 0) yield* incidents.raise(yield* Effect.forEach(batch, incidentOf))
      }).pipe(Effect.catchTag("Outage", ({ during }) => Effect.logWarning("rejections not recorded", { during })))
      yield* Effect.addFinalizer(() => Effect.asVoid(Effect.timeoutOption(flush, FLUSH_LAST)))
      yield* Effect.forkScoped(Effect.schedule(flush, Schedule.spaced(FLUSH_EVERY)))
      return Rejections.of({ note, flush })
    })
  )
}

/** Of a model that is known by name: any other word is the customer's own. */
const modelOf = ({ refusal, model, caller }: Rejection) =>
  refusal.code === "model_unavailable" && model !== null && caller !== null
    ? { model, environment: caller.namespace.environment }
    : {}

const incidentOf = (rejection: Rejection) =>
  Effect.map(freshIncidentId, (id) => {
    const { refusal, stage, caller, at } = rejection
    return {
      id,
      kind: "rejection" as const,
      type: refusal.code,
      severity: "info" as const,
      subject: caller === null ? "listener/public" : `namespace/${caller.namespace.id}`,
      stage,
      jobId: null,
      nodeId: null,
      namespaceId: caller?.namespace.id ?? null,
      ...(caller === null ? {} : { keyId: caller.key.id }),
      observed: { status: refusal.meaning.status, param: refusal.param ?? null, ...modelOf(rejection) },
      expected: null,
      at
    }
  })
