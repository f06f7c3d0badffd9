/**
 * Why a command did not do what it was asked for, as one line for a person and an exit code for a script. The codes are a promise: they stand
 * in `--help`, and a script tells by them whether to wait, to look again or to give up.
 */
import * as Data from "effect/Data"

export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3, notFound: 4, conflict: 5, unavailable: 6 } as const
/** What a shell reports of a process that ctrl-C ended. */
export const EXIT_INTERRUPTED = 130

export type Exit = (typeof EXIT)[keyof typeof EXIT]

export class CliFailed extends Data.TaggedError("CliFailed")<{
  /** The daemon's code where it has one. */
  readonly code: string
  readonly message: string
  readonly exit: Exit
}> {}

/** The command line is wrong; nothing was asked of the daemon. */
export const usage = (message: string): CliFailed => new CliFailed({ code: "usage", message, exit: EXIT.usage })

/** The daemon said no. */
export const refused = (status: number, code: string, message: string): CliFailed =>
  new CliFailed({ code, message, exit: exitOf(status) })

const exitOf = (status: number): Exit => {
  switch (status) {
    case 404:
    case 410:
      return EXIT.notFound
    case 409:
      return EXIT.conflict
    case 429:
    case 503:
      return EXIT.unavailable
    default:
      return EXIT.failed
  }
}

export const unreachable = (message: string): CliFailed =>
  new CliFailed({ code: "unreachable", message, exit: EXIT.unreachable })

/** Something answers, and it is not what this command talks to. */
export const badAnswer = (message: string): CliFailed =>
  new CliFailed({ code: "bad_answer", message, exit: EXIT.failed })
