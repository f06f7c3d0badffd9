/**
 * `snapshot restore` and `snapshot fork`: a snapshot into an empty store, in one transaction, before a daemon starts on it. Nothing of the original
 * is asked or changed.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Environment } from "../../schemas/Job.ts"
import { type Fork, restore as restoring } from "../../snapshots/Restoring.ts"
import { open, type StoreFailed } from "../../SnapshotStores.ts"
import { CliFailed, EXIT, usage } from "../CliFailed.ts"
import type { Flag, Input } from "../Command.ts"
import { Env } from "../Env.ts"
import { Output } from "../Output.ts"
import { counted } from "../Plain.ts"
import { document } from "../Show.ts"
import { ended, oneOf } from "./Places.ts"
import { reporting } from "./Progress.ts"

export const STORE_FLAGS: ReadonlyArray<Flag> = [
  { name: "data", value: "DIR", help: "the data folder to fill, made if need be" },
  { name: "postgres-url", value: "URL", help: "or the server of a cluster; better in POSTGRES_URL" },
  { name: "postgres-owner-url", value: "URL", help: "the role that owns the tables; POSTGRES_OWNER_URL, else the same" }
]

export const FORK_FLAGS: ReadonlyArray<Flag> = [
  {
    name: "environment",
    value: "NAME",
    help: "of the fork",
    oneOf: Environment.literals,
    needed: "a fork is another network"
  },
  { name: "keep-keys", help: "API keys of the original open the fork too" }
]

const isEnvironment = Schema.is(Environment)

export const restore = (input: Input) => into(input, null)

export const fork = (input: Input) => {
  const environment = input.flags.get("environment")
  return isEnvironment(environment)
    ? into(input, { environment, keepKeys: input.flags.has("keep-keys") })
    : Effect.fail(usage("snapshot fork needs --environment"))
}

const storeOf = Effect.fnUntraced(function* ({ flags }: Input) {
  const env = yield* Env
  const words = [...STORE_FLAGS.map(({ name }) => name), "installation"].flatMap((name) => {
    const value = flags.get(name)
    return value === undefined ? [] : [`--${name}=${value}`]
  })
  return yield* Effect.mapError(open({ words, env }), closed)
})

const closed = ({ reason, message }: StoreFailed): CliFailed => {
  switch (reason) {
    case "unclear":
      return usage(message)
    case "used":
      return new CliFailed({ code: "conflict", message, exit: EXIT.conflict })
    case "away":
      return new CliFailed({ code: "unavailable", message: `${message}. Try again.`, exit: EXIT.unavailable })
  }
}

const into = (input: Input, wish: Fork | null) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { source, sealed } = yield* oneOf(input)
      const store = yield* storeOf(input)
      const { write, status } = yield* Output
      const report = yield* reporting
      const restored = yield* restoring(source, sealed, store.rows, wish, report).pipe(
        ended({ name: store.name }),
        Effect.ensuring(status(null))
      )
      if (input.json) return yield* document({ ...restored, store: store.name })
      const { number, rows, environment } = restored
      const keys = wish === null || wish.keepKeys ? "" : " API keys were left behind: make new ones."
      return yield* write(`Snapshot ${number} is in ${store.name}: ${counted(rows, "row")}, ${environment}.${keys}\n`)
    })
  )
