/**
 * Where a command's words go. What was asked for goes to stdout and waits for a slow reader; remarks and errors go to stderr. A reader that
 * has gone (`| head`) ends the command without a complaint.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Writable } from "node:stream"

export class PipeClosed extends Data.TaggedError("PipeClosed")<{}> {}

export class Output extends Context.Service<
  Output,
  {
    /** A person looks on: documents are indented, and control characters in a job's text do nothing. */
    readonly isTerminal: boolean
    readonly write: (text: string | Uint8Array) => Effect.Effect<void, PipeClosed>
    /** One line to stderr. Nobody reading it is no failure. */
    readonly note: (line: string) => Effect.Effect<void>
    /** How far a long run is: one line of stderr that the next one replaces; null takes it away. Nothing where nobody looks on. */
    readonly status: (line: string | null) => Effect.Effect<void>
  }
>()("resultity/cli/Output") {
  static readonly layer = (stdout: Terminal, stderr: Terminal): Layer.Layer<Output> =>
    Layer.sync(Output, () => {
      hush(stdout)
      hush(stderr)
      let isShown = false
      const wipe = Effect.suspend(() => {
        if (!isShown) return Effect.void
        isShown = false
        return Effect.ignore(put(stderr, WIPE))
      })
      return Output.of({
        isTerminal: stdout.isTTY === true,
        write: stdout.isTTY === true ? (text) => Effect.andThen(wipe, put(stdout, text)) : (text) => put(stdout, text),
        note: (line) => Effect.andThen(wipe, Effect.ignore(put(stderr, `${line}\n`))),
        status: (line) => {
          if (stderr.isTTY !== true) return Effect.void
          if (line === null) return wipe
          isShown = true
          return Effect.ignore(put(stderr, `${WIPE}${line}`))
        }
      })
    })
}

type Terminal = Writable & { readonly isTTY?: boolean }

/** Back to the start of the line, and empties it. */
const WIPE = "\r\u001b[K"

/**
 * A failed write tells its callback and then, later than anything could be released here, an event that ends a process which does not listen.
 */
const hush = (stream: Writable): void => void stream.on("error", () => undefined)

const put = (stream: Writable, text: string | Uint8Array): Effect.Effect<void, PipeClosed> =>
  Effect.callback((resume) => {
    if (stream.destroyed || stream.writableEnded) return resume(Effect.fail(new PipeClosed()))
    stream.write(text, (error) =>
      resume(error === null || error === undefined ? Effect.void : Effect.fail(new PipeClosed()))
    )
  })
