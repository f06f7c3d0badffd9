/**
 * A registered session, as far as attempts need one, and how the end of an attempt is told through it. The result is
 * signed when it is told and not before, because epoch and session key may have changed since the runtime ended.
 */
import type { ResultClaim } from "../schemas/AgentFrame.ts"
import type { Gpu } from "../schemas/NodeProfile.ts"
import { type AttemptEnd, type HeldAttempt, resultClaim } from "./HeldAttempt.ts"
import type { Wire } from "./Wire.ts"

export interface Outlet {
  readonly wire: Wire
  readonly signResult: (claim: ResultClaim) => string
  /** Drops the socket at once. */
  readonly lose: () => void
}

/** Tells the end; the number of the frame that does. */
export const tellEnd = (
  { wire, signResult }: Outlet,
  held: HeldAttempt,
  end: AttemptEnd,
  gpu: Gpu | undefined
): number => {
  const { jobId, attempt, epoch } = held
  if (end._tag === "Failed") {
    return wire.send({ _tag: "Fail", jobId, attempt, epoch, code: end.code, fault: end.fault })
  }
  const claim = resultClaim(held, end)
  const { domain: _domain, ...claimed } = claim
  return wire.send({
    _tag: "Result",
    ...claimed,
    jobId,
    signature: signResult(claim),
    ...(gpu === undefined ? {} : { gpu })
  })
}
