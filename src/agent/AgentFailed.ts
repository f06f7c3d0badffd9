/**
 * Why an agent gave up for good. Everything that may pass (a daemon that is away, a runtime that is down) is waited out
 * and never becomes this; the exit code is for the process that runs the agent, after sysexits(3).
 */
import * as Data from "effect/Data"

const EXIT = {
  /** The key file cannot be used. */
  identity: 66,
  superseded: 69,
  protocol: 76,
  unauthenticated: 77,
  wrong_environment: 78
} as const
export type AgentFailure = keyof typeof EXIT

export class AgentFailed extends Data.TaggedError("AgentFailed")<{
  readonly code: AgentFailure
  /** One or two sentences for the operator: the cause and what to do. */
  readonly message: string
}> {
  get exitCode(): number {
    return EXIT[this.code]
  }
}
