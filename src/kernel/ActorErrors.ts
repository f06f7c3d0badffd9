/**
 * The five failures the kernel itself can report. They carry addresses and never messages: what was in the message may
 * belong to somebody. MailboxFull is a refusal (try later), ActorStopped and AskTimedOut mean "nobody will answer",
 * and neither says whether the message was acted upon.
 */
import * as Data from "effect/Data"
import type * as Cause from "effect/Cause"

/** The mailbox holds `capacityMax` messages and refuses more. Nothing was queued. */
export class MailboxFull extends Data.TaggedError("MailboxFull")<{
  readonly address: string
  readonly capacityMax: number
}> {}

/**
 * The actor takes no messages any more (told), or the incarnation that owned the question ended without answering
 * (asked). In the second case the message may have been acted upon in part.
 */
export class ActorStopped extends Data.TaggedError("ActorStopped")<{ readonly address: string }> {}

/** No answer within the asker's patience. The message stays queued and may still be acted upon. */
export class AskTimedOut extends Data.TaggedError("AskTimedOut")<{
  readonly address: string
  readonly timeoutMs: number
}> {}

/** The address is taken by an actor or supervisor that has not ended for good. */
export class AlreadyStarted extends Data.TaggedError("AlreadyStarted")<{ readonly address: string }> {}

/** A supervisor's restart budget is spent. `cause` is the crash that overdrew it; all its children are stopped. */
export class Escalated extends Data.TaggedError("Escalated")<{
  readonly address: string
  readonly cause: Cause.Cause<unknown>
}> {}

const crashTextMax = 200

/** Tag (or name) and message of a crash's first failure or defect, cut short: what may be shown and logged of it. */
export const crashText = (cause: Cause.Cause<unknown>): string => {
  const reason = cause.reasons.find((reason) => reason._tag !== "Interrupt")
  if (reason === undefined) return "Interrupted"
  return describe(reason._tag === "Fail" ? reason.error : reason.defect).slice(0, crashTextMax)
}

const describe = (thrown: unknown): string => {
  if (typeof thrown !== "object" || thrown === null) return String(thrown)
  const { _tag, name, message } = thrown as { _tag?: unknown; name?: unknown; message?: unknown }
  const label = [_tag, name].find((word) => typeof word === "string" && word !== "") ?? "Unknown"
  return typeof message === "string" && message !== "" ? `${String(label)}: ${message}` : String(label)
}
