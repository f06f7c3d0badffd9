/** `ratings`: what customers think of the answers, by node or by model. */
import * as Schema from "effect/Schema"
import { gets } from "../Ask.ts"
import type { Command } from "../Command.ts"
import { at } from "../Control.ts"
import { show } from "../Show.ts"
import { type Column, table } from "../Table.ts"

const Ratings = Schema.Struct({
  group: Schema.String,
  ratings: Schema.Finite,
  meanScore: Schema.Finite,
  low: Schema.Finite
})

const COLUMNS: ReadonlyArray<Column<typeof Ratings.Type>> = [
  { title: "OF", of: ({ group }) => group, max: 60 },
  { title: "RATINGS", of: ({ ratings }) => ratings, right: true },
  { title: "MEAN", of: ({ meanScore }) => meanScore.toFixed(2), right: true },
  { title: "LOW", of: ({ low }) => low, right: true }
]

const showRatings = show(Schema.Struct({ data: Schema.Array(Ratings) }), ({ data }) =>
  data.length === 0 ? "No ratings.\n" : table(COLUMNS, data)
)

const FILTERS = ["by", "from", "to", "limit"] as const
const BY = ["node", "model"]

export const ratingCommands: ReadonlyArray<Command> = [
  {
    path: ["ratings"],
    args: [],
    flags: [
      {
        name: "by",
        value: "WHAT",
        help: "node or model; node",
        check: (text) => (BY.includes(text) ? null : `is ${BY.join(" or ")}`)
      },
      { name: "from", value: "INSTANT", help: "given from then on; a week ago" },
      { name: "to", value: "INSTANT", help: "given before that" },
      { name: "limit", value: "N", help: "so many; 100" }
    ],
    summary: "what customers think of the answers: scores from 1 to 5, and how many were 1 or 2",
    examples: ["resultity ratings --by model"],
    run: gets(
      () => at("ratings"),
      showRatings,
      ({ flags }) =>
        Object.fromEntries(
          FILTERS.flatMap((name) => {
            const value = flags.get(name)
            return value === undefined ? [] : [[name, value]]
          })
        )
    )
  }
]
