/** Whether this daemon takes work, and how each thing it depends on answers. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

export interface DependencyHealth {
  readonly name: string
  readonly required: boolean
  readonly up: boolean
  /** Of the probe, in milliseconds. */
  readonly latencyMs: number
}

export class Readiness extends Context.Service<
  Readiness,
  {
    /** Probes every dependency at once, each with a time limit. */
    readonly probe: Effect.Effect<ReadonlyArray<DependencyHealth>>
    /** True from the moment the drain began: no new work. */
    readonly draining: Effect.Effect<boolean>
    readonly startDrain: Effect.Effect<void>
  }
>()("resultity/layers/Readiness") {}
