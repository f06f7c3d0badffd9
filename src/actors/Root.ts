/**
 * The root supervisor, under which every other one starts. A crash that is only a store's outage is waited out and spends no budget, here
 * and in every supervisor that takes its rule from here.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Supervisor } from "../kernel/Supervisor.ts"
import type { Supervisor as SupervisorShape } from "../kernel/Supervisor.ts"
import { Outage } from "../layers/Outage.ts"

/** True when nothing but outages ended the actor. */
export const isOutage = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.length > 0 &&
  cause.reasons.every((reason) => Cause.isFailReason(reason) && reason.error instanceof Outage)

export class Root extends Context.Service<Root, SupervisorShape>()("resultity/actors/Root") {
  static readonly layer = Layer.effect(
    Root,
    Effect.map(
      Supervisor.make({
        address: "daemon",
        strategy: "oneForOne",
        intensity: 5,
        period: "30 seconds",
        backoff: { first: "100 millis", max: "5 seconds" },
        waitOut: isOutage
      }),
      (supervisor) => Root.of(supervisor)
    )
  )
}
