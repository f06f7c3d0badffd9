/** `incidents`: what happened that should be known, and what goes on. */
import * as Schema from "effect/Schema"
import { IncidentKind } from "../../schemas/Incident.ts"
import { gets } from "../Ask.ts"
import type { Command } from "../Command.ts"
import { at } from "../Control.ts"
import { instant } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, table } from "../Table.ts"

const Incident = Schema.Struct({
  id: Schema.String,
  kind: Schema.String,
  type: Schema.String,
  severity: Schema.String,
  subject: Schema.String,
  observed: Schema.Json,
  at: Schema.Finite,
  episode: Schema.optionalKey(
    Schema.Struct({
      sightings: Schema.Finite,
      seenAt: Schema.Finite,
      closedAt: Schema.NullOr(Schema.Finite),
      closedFor: Schema.NullOr(Schema.String)
    })
  )
})

const stateOf = ({ episode }: typeof Incident.Type): string | null => {
  if (episode === undefined) return null
  return episode.closedAt === null ? "open" : `${episode.closedFor ?? "closed"} ${instant(episode.closedAt)}`
}

const COLUMNS: ReadonlyArray<Column<typeof Incident.Type>> = [
  { title: "AT", of: (incident) => instant(incident.at) },
  { title: "SEVERITY", of: ({ severity }) => severity },
  { title: "TYPE", of: ({ type }) => type },
  { title: "SUBJECT", of: ({ subject }) => subject, max: 60 },
  { title: "EPISODE", of: stateOf },
  { title: "SEEN", of: ({ episode }) => episode?.sightings ?? null, right: true },
  { title: "OBSERVED", of: ({ observed }) => JSON.stringify(observed), max: 80 }
]

const showIncidents = show(Schema.Struct({ data: Schema.Array(Incident) }), ({ data }) =>
  data.length === 0 ? "No incidents.\n" : table(COLUMNS, data)
)

const FILTERS = ["kind", "type", "subject", "from", "to", "limit"] as const

export const incidentCommands: ReadonlyArray<Command> = [
  {
    path: ["incidents", "list"],
    args: [],
    flags: [
      { name: "open", help: "only episodes that go on" },
      { name: "kind", value: "KIND", help: IncidentKind.literals.join(", ") },
      { name: "type", value: "TYPE", help: "the machine code, such as error_spike" },
      { name: "subject", value: "SUBJECT", help: "what it is about, such as model/tiny" },
      { name: "from", value: "INSTANT", help: "from then on; ISO 8601 or epoch milliseconds" },
      { name: "to", value: "INSTANT", help: "before that" },
      { name: "limit", value: "N", help: "so many; 100" }
    ],
    summary: "what happened that should be known, newest first",
    examples: ["resultity incidents list --open", "resultity incidents list --type abuse --limit 10 --json"],
    run: gets(
      () => at("incidents"),
      showIncidents,
      ({ flags }) => ({
        ...(flags.has("open") ? { open: "true" } : {}),
        ...Object.fromEntries(
          FILTERS.flatMap((name) => {
            const value = flags.get(name)
            return value === undefined ? [] : [[name, value]]
          })
        )
      })
    )
  }
]
