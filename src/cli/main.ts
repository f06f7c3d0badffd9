/** The process behind every `resultity` command but `daemon` and `node`: its words in, its exit code out. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { run } from "./Cli.ts"
import { EXIT, EXIT_INTERRUPTED } from "./CliFailed.ts"
import { Output } from "./Output.ts"

const program = run(process.argv.slice(2), process.env).pipe(
  Effect.tapCause((cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.void
      : Effect.flatMap(Output, ({ note }) => note(`defect: ${Cause.pretty(cause)}`))
  ),
  Effect.provide(Output.layer(process.stdout, process.stderr))
)

NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  teardown: (exit, done) => {
    if (exit._tag === "Success") return done(typeof exit.value === "number" ? exit.value : EXIT.ok)
    return done(Cause.hasInterruptsOnly(exit.cause) ? EXIT_INTERRUPTED : EXIT.failed)
  }
})
