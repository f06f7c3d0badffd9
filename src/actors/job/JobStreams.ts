/**
 * How anybody outside follows a job: from any position, while it waits, while it runs, and after it ended. Signals come in order, pieces
 * without gap or repeat. A reader that falls behind is cut off with the position to go on from, and never slows the job.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Scope as ReadScope } from "../../layers/JobRecords.ts"
import type { Outage } from "../../layers/Outage.ts"
import type { JobId } from "../../schemas/Ids.ts"
import type { CancelCause } from "../../schemas/JobMoment.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import type { Refusal } from "../../schemas/Refusal.ts"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"

export type JobSignal =
  | { readonly _tag: "Tokens"; readonly events: ReadonlyArray<TokenEvent> }
  /** The last signal: the job is over, recorded and settled. */
  | { readonly _tag: "Ended"; readonly row: JobRow }
  /** The last signal: this reader fell behind. Follow again after `lastSeq`. */
  | { readonly _tag: "Behind"; readonly lastSeq: number }

export interface Subscription {
  /** Waits for at least one signal. After `Ended` or `Behind` there is nothing more to take. */
  readonly take: Effect.Effect<ReadonlyArray<JobSignal>, Outage>
}

export class JobStreams extends Context.Service<
  JobStreams,
  {
    /** Signals after piece `afterSeq` (0: from the beginning), until the scope closes. Refused: `not_found`, `archived`, `invalid_request` (no such position). */
    readonly subscribe: (
      scope: ReadScope,
      jobId: JobId,
      afterSeq: number
    ) => Effect.Effect<Subscription, Refusal | Outage, Scope.Scope>
    /** The row as the scope may see it. Refused with `not_found`. */
    readonly row: (scope: ReadScope, jobId: JobId) => Effect.Effect<JobRow, Refusal | Outage>
    /** Reaches the job in every state and waits for its end. Cancelled already: the same row. Ended otherwise: `conflict`. */
    readonly cancel: (scope: ReadScope, jobId: JobId, cause: CancelCause) => Effect.Effect<JobRow, Refusal | Outage>
    /** Why it runs where it runs, or why it still waits, in sentences. A namespace is told no node ids. */
    readonly explain: (scope: ReadScope, jobId: JobId) => Effect.Effect<ReadonlyArray<string>, Refusal | Outage>
  }
>()("resultity/actors/job/JobStreams") {}
