/** `actors`: the supervision tree of one daemon as it is now. */
import * as Schema from "effect/Schema"
import { gets } from "../Ask.ts"
import type { Command } from "../Command.ts"
import { at } from "../Control.ts"
import { instant } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, table } from "../Table.ts"

interface Actor {
  readonly address: string
  readonly kind: string
  readonly status: string
  readonly restarts: number
  readonly mailboxDepth: number
  readonly oldestAgeMs: number
  readonly startedAt: number
  readonly lastCrash?: string
  readonly children: ReadonlyArray<Actor>
}

const Actor: Schema.Codec<Actor> = Schema.Struct({
  address: Schema.String,
  kind: Schema.String,
  status: Schema.String,
  restarts: Schema.Finite,
  mailboxDepth: Schema.Finite,
  oldestAgeMs: Schema.Finite,
  startedAt: Schema.Finite,
  lastCrash: Schema.optionalKey(Schema.String),
  children: Schema.Array(Schema.suspend((): Schema.Codec<Actor> => Actor))
})

interface Line extends Actor {
  readonly depth: number
}

const COLUMNS: ReadonlyArray<Column<Line>> = [
  { title: "ACTOR", of: ({ address, depth }) => `${"  ".repeat(depth)}${address}` },
  { title: "KIND", of: ({ kind }) => kind },
  { title: "STATUS", of: ({ status }) => status },
  { title: "RESTARTS", of: ({ restarts }) => restarts, right: true },
  { title: "MAILBOX", of: ({ mailboxDepth }) => mailboxDepth, right: true },
  { title: "OLDEST MS", of: ({ oldestAgeMs }) => oldestAgeMs, right: true },
  { title: "STARTED", of: ({ startedAt }) => instant(startedAt) },
  { title: "LAST CRASH", of: ({ lastCrash }) => lastCrash, max: 60 }
]

/** Parents before their children. */
const linesOf = (actors: ReadonlyArray<Actor>, depth = 0): ReadonlyArray<Line> =>
  actors.flatMap((actor) => [{ ...actor, depth }, ...linesOf(actor.children, depth + 1)])

const showActors = show(Schema.Struct({ data: Schema.Array(Actor) }), ({ data }) => table(COLUMNS, linesOf(data)))

export const actorCommands: ReadonlyArray<Command> = [
  {
    path: ["actors"],
    args: [],
    flags: [],
    summary: "the supervision tree: who lives, restarts, waits",
    notes: "OLDEST MS: how long the oldest message in the mailbox has waited.",
    examples: ["resultity actors", "resultity actors --json | jq '.. | objects | select(.restarts? > 0) | .address'"],
    run: gets(() => at("actors"), showActors)
  }
]
