/** Long work as an operator sees it: what it is about, how far it is, and what came of it. */
import * as Schema from "effect/Schema"

export const WorkState = Schema.Literals(["running", "done", "failed", "cancelled"])
export type WorkState = typeof WorkState.Type

export const WorkProgress = Schema.Struct({
  /** Units that are through. */
  done: Schema.Natural,
  /** About how many there are; null: not known. */
  total: Schema.NullOr(Schema.Natural),
  unit: Schema.String,
  bytes: Schema.Natural
})
export type WorkProgress = typeof WorkProgress.Type

export const WorkView = Schema.Struct({
  id: Schema.String,
  /** `snapshot.create`: one of a kind runs at a time. */
  kind: Schema.String,
  by: Schema.String,
  state: WorkState,
  startedAt: Schema.Int,
  endedAt: Schema.NullOr(Schema.Int),
  progress: WorkProgress,
  /** Units a second since the start. */
  perSecond: Schema.Finite,
  /** By that rate; null: not known, or over. */
  leftMs: Schema.NullOr(Schema.Int),
  /** What it made, when it is done. */
  result: Schema.NullOr(Schema.Json),
  /** Why it failed. */
  error: Schema.NullOr(Schema.String)
})
export type WorkView = typeof WorkView.Type

export const noProgress = (unit: string): WorkProgress => ({ done: 0, total: null, unit, bytes: 0 })
