/**
 * One call of the command, from its words to its exit code. Fails never: what a command fails with is told on stderr in one line
 * and becomes the code. Only bugs come through.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { readFileSync } from "node:fs"
import { FROM } from "./archive/Place.ts"
import { type CliFailed, EXIT, usage } from "./CliFailed.ts"
import type { Input } from "./Command.ts"
import { COMMANDS } from "./Commands.ts"
import { Control, type ControlOptions } from "./Control.ts"
import { Env } from "./Env.ts"
import { helpText } from "./Help.ts"
import { Output, type PipeClosed } from "./Output.ts"
import { parse } from "./Parse.ts"
import { oneLine } from "./Plain.ts"

const CONTROL_URL = "http://127.0.0.1:8401"

export const run = (argv: ReadonlyArray<string>, env: Env): Effect.Effect<number, never, Output> =>
  obey(argv, env).pipe(
    Effect.as<number>(EXIT.ok),
    Effect.catchTags({
      PipeClosed: () => Effect.succeed(EXIT.ok),
      CliFailed: ({ code, message, exit }) =>
        Effect.as(
          Effect.flatMap(Output, ({ note }) => note(oneLine(`${code}: ${message}`))),
          exit
        )
    })
  )

const obey = (argv: ReadonlyArray<string>, env: Env): Effect.Effect<void, CliFailed | PipeClosed, Output> =>
  Effect.gen(function* () {
    const out = yield* Output
    const parsed = yield* Effect.fromResult(parse(COMMANDS, argv))
    switch (parsed._tag) {
      case "Help":
        return yield* out.write(helpText(COMMANDS, parsed.words))
      case "Version":
        return yield* out.write(`resultity ${version()}\n`)
      case "Run": {
        const { offline, isLocal } = parsed.command
        if (offline !== undefined && (isLocal === true || parsed.input.flags.has(FROM.name))) {
          return yield* Effect.provideService(offline(parsed.input), Env, env)
        }
        const options = yield* Effect.fromResult(controlOf(parsed.input, env))
        if (travelsInTheOpen(options)) {
          yield* out.note(`warning: the control key travels unencrypted to ${options.url}`)
        }
        return yield* Effect.provide(parsed.command.run(parsed.input), Control.layer(options))
      }
    }
  })

const version = (): string => {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8")
  return (JSON.parse(text) as { readonly version: string }).version
}

/** Set, and not to nothing. */
const given = (...texts: ReadonlyArray<string | undefined>): string | undefined =>
  texts.find((text) => text !== undefined && text !== "")

const controlOf = ({ flags }: Input, env: Env): Result.Result<ControlOptions, CliFailed> => {
  const text = given(flags.get("control"), env["RESULTITY_CONTROL_URL"]) ?? CONTROL_URL
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "") {
    return Result.fail(usage(`--control (RESULTITY_CONTROL_URL) has to be a URL like ${CONTROL_URL}`))
  }
  const key = given(flags.get("control-key"), env["RESULTITY_CONTROL_KEY"])
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
    return Result.fail(usage("--control-key (RESULTITY_CONTROL_KEY) holds characters that no key has"))
  }
  const actor = given(flags.get("actor"), env["RESULTITY_ACTOR"]) ?? "cli"
  if (!/^[A-Za-z0-9@._/-]{1,64}$/.test(actor)) {
    return Result.fail(usage("--actor (RESULTITY_ACTOR) is up to 64 letters, digits and any of @ . _ / -"))
  }
  return Result.succeed({
    url: url.href.replace(/[#?].*$/, "").replace(/\/+$/, ""),
    key: key === undefined ? null : Redacted.make(key),
    actor
  })
}

const LOOPBACK = /^http:\/\/(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?(?:\/|$)/

const travelsInTheOpen = ({ url, key }: ControlOptions): boolean =>
  key !== null && url.startsWith("http:") && !LOOPBACK.test(url)
