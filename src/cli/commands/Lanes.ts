/** `lanes`: where jobs wait. The store knows what waits; the broker knows what it holds: the two differ while messages are on their way. */
import * as Schema from "effect/Schema"
import { gets } from "../Ask.ts"
import type { Command } from "../Command.ts"
import { at } from "../Control.ts"
import { instant } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, table } from "../Table.ts"

const Waiting = Schema.Struct({ name: Schema.String, waiting: Schema.Finite, oldestAt: Schema.NullOr(Schema.Finite) })
const Depth = Schema.Struct({
  name: Schema.String,
  ready: Schema.Finite,
  /** null: only partly known. */
  unacknowledged: Schema.NullOr(Schema.Finite),
  consumers: Schema.Finite
})
const Lanes = Schema.Struct({ waiting: Schema.Array(Waiting), depths: Schema.Array(Depth) })
type Lanes = typeof Lanes.Type

interface Line {
  readonly name: string
  readonly waiting: (typeof Waiting)["Type"] | undefined
  readonly depth: (typeof Depth)["Type"] | undefined
}

const COLUMNS: ReadonlyArray<Column<Line>> = [
  { title: "LANE", of: ({ name }) => name },
  { title: "WAITING", of: ({ waiting }) => waiting?.waiting ?? 0, right: true },
  { title: "OLDEST", of: ({ waiting }) => instant(waiting?.oldestAt) },
  { title: "READY", of: ({ depth }) => depth?.ready, right: true },
  { title: "UNACKNOWLEDGED", of: ({ depth }) => depth?.unacknowledged, right: true },
  { title: "CONSUMERS", of: ({ depth }) => depth?.consumers, right: true }
]

const linesOf = ({ waiting, depths }: Lanes): ReadonlyArray<Line> => {
  const names = new Set([...waiting, ...depths].map(({ name }) => name))
  return [...names].toSorted().map((name) => ({
    name,
    waiting: waiting.find((lane) => lane.name === name),
    depth: depths.find((lane) => lane.name === name)
  }))
}

const showLanes = show(Lanes, (lanes) => {
  const lines = linesOf(lanes)
  return lines.length === 0 ? "No job waits, and the broker has no lane yet.\n" : table(COLUMNS, lines)
})

export const laneCommands: ReadonlyArray<Command> = [
  {
    path: ["lanes"],
    args: [],
    flags: [],
    summary: "where jobs wait, and since when",
    notes:
      "WAITING and OLDEST are what the store says; READY, UNACKNOWLEDGED and CONSUMERS what the broker says.\nA lane is named environment.subcloud.model.priority.",
    examples: ["resultity lanes", "resultity lanes --json | jq '.waiting | max_by(.waiting)'"],
    run: gets(() => at("lanes"), showLanes)
  }
]
