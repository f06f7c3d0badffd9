/** What a job's actor is told. Reports of nodes and answers of the dispatcher come in their own words. */
import type * as Exit from "effect/Exit"
import type { Claimed, Guarded } from "../../layers/JobStore.ts"
import type { Outage } from "../../layers/Outage.ts"
import type { CancelCause, JobTimer } from "../../schemas/JobMoment.ts"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import type { DispatchAnswer } from "../dispatch/DispatchMessages.ts"
import type { NodeReport } from "../node/NodeMessages.ts"

/** With a claim that takes an attempt over: the pieces that are stored, now that no earlier owner can add to them. */
export interface ClaimAnswer {
  readonly claimed: Claimed
  readonly durable: ReadonlyArray<TokenEvent>
}

export type JobMessage =
  | NodeReport
  | DispatchAnswer
  /** The same question, behind everything that waited when it came. */
  | { readonly _tag: "LeaseDoubtedStill"; readonly doubted: Extract<NodeReport, { _tag: "LeaseDoubted" }> }
  | { readonly _tag: "Cancel"; readonly cause: CancelCause }
  | { readonly _tag: "Timer"; readonly timer: JobTimer }
  | { readonly _tag: "ClaimAnswered"; readonly exit: Exit.Exit<ClaimAnswer> }
  /** A batch of pieces up to `last` was stored, or refused (`false`: another epoch writes now), or the store is out. */
  | {
      readonly _tag: "PiecesStored"
      readonly epoch: number
      readonly last: number
      readonly exit: Exit.Exit<boolean, Outage>
    }
  | { readonly _tag: "StoreAgain" }
  /** It has run for a while: whoever looks at the record now should see where. */
  | { readonly _tag: "ProgressDue" }
  | { readonly _tag: "ReattachAgain" }
  /** The closing record was written, or refused (`false`: another epoch writes it), or its store is out. */
  | { readonly _tag: "RecordAnswered"; readonly exit: Exit.Exit<boolean, Outage> }
  | { readonly _tag: "SettleAnswered"; readonly exit: Exit.Exit<Guarded> }
  /** The row was ended by somebody else, or somebody else acts for it: look at it. */
  | { readonly _tag: "EndedElsewhere" }
  /** The offer of the job to the daemon of its slot: sent or not, answered or not. */
  | { readonly _tag: "HandoverSent"; readonly exit: Exit.Exit<void, unknown> }
  | { readonly _tag: "HandoverOverdue" }
  | { readonly _tag: "Taken"; readonly taken: boolean }
  /** Hand the job on; `onlyIdle` spares one that a node works on or that is being ended. */
  | { readonly _tag: "Drain"; readonly onlyIdle: boolean }
