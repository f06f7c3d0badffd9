/** What commands of snapshots show, whoever was asked. */
import * as Schema from "effect/Schema"
import { size } from "../archive/Progress.ts"
import { counted, instant } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, facts, table } from "../Table.ts"

export const Head = Schema.Struct({
  number: Schema.Int,
  root: Schema.String,
  previous: Schema.NullOr(Schema.String),
  state: Schema.String,
  environment: Schema.String,
  at: Schema.Finite,
  rows: Schema.Finite,
  blocksAdded: Schema.Finite,
  bytesAdded: Schema.Finite,
  signer: Schema.String
})

const COLUMNS: ReadonlyArray<Column<typeof Head.Type>> = [
  { title: "SNAPSHOT", of: ({ number }) => number, right: true },
  { title: "AT", of: ({ at }) => instant(at) },
  { title: "ENVIRONMENT", of: ({ environment }) => environment },
  { title: "ROWS", of: ({ rows }) => rows, right: true },
  { title: "NEW BLOCKS", of: ({ blocksAdded }) => blocksAdded, right: true },
  { title: "NEW BYTES", of: ({ bytesAdded }) => bytesAdded, right: true },
  { title: "ROOT", of: ({ root }) => root }
]

export const showHeads = show(Schema.Struct({ data: Schema.Array(Head) }), ({ data }) =>
  data.length === 0 ? "No snapshots.\n" : table(COLUMNS, data)
)

export const showHead = show(Head, (head) => {
  const { number, at, environment, root, previous, state, rows, blocksAdded, bytesAdded, signer } = head
  return facts([
    ["snapshot", number],
    ["at", instant(at)],
    ["environment", environment],
    ["root", root],
    ["previous", previous],
    ["state", state],
    ["rows", rows],
    ["added", `${counted(blocksAdded, "block")}, ${size(bytesAdded)}`],
    ["signed by", signer]
  ])
})

const Pruned = Schema.Struct({
  dryRun: Schema.Boolean,
  removed: Schema.Finite,
  kept: Schema.Finite,
  oldest: Schema.NullOr(Schema.Int),
  blocks: Schema.Finite
})

export const showPruned = show(Pruned, ({ dryRun, removed, kept, oldest, blocks }) => {
  const went = `${counted(removed, "snapshot")} and ${counted(blocks, "block")} ${dryRun ? "would go" : "went"}`
  return `${went}; ${kept} ${kept === 1 ? "stays" : "stay"}${oldest === null ? "" : `, the oldest is ${oldest}`}.\n`
})

export const Check = Schema.Struct({
  number: Schema.NullOr(Schema.Int),
  root: Schema.NullOr(Schema.String),
  signer: Schema.NullOr(Schema.String),
  blocks: Schema.Finite,
  bytes: Schema.Finite,
  rows: Schema.Finite,
  faults: Schema.Array(Schema.Struct({ block: Schema.NullOr(Schema.String), table: Schema.String, why: Schema.String }))
})

const faultText = ({ block, table: part, why }: (typeof Check.Type)["faults"][number]): string =>
  `${part}: ${block === null ? "" : `the block ${block} `}${why}`

export const checkText = ({ number, blocks, bytes, rows, faults, signer }: typeof Check.Type): string => {
  const name = number === null ? "The snapshot" : `Snapshot ${number}`
  const figures = `${counted(blocks, "block")}, ${counted(rows, "row")}, ${size(bytes)}`
  if (faults.length === 0) return `${name} is whole: ${figures}, signed by ${signer ?? "nobody"}.\n`
  return faults.map((fault) => `${faultText(fault)}\n`).join("")
}

export const showCheck = show(Check, checkText)

const Diff = Schema.Struct({
  tables: Schema.Array(
    Schema.Struct({
      table: Schema.String,
      added: Schema.Finite,
      removed: Schema.Finite,
      changed: Schema.Finite
    })
  ),
  changes: Schema.Array(
    Schema.Struct({
      table: Schema.String,
      change: Schema.String,
      key: Schema.Array(Schema.Json),
      columns: Schema.Array(Schema.String)
    })
  ),
  more: Schema.Boolean
})

const SIGNS: Readonly<Record<string, string>> = { added: "+", removed: "-", changed: "~" }

export const showDiff = show(Diff, ({ tables, changes, more }) => {
  const touched = tables.filter(({ added, removed, changed }) => added + removed + changed > 0)
  if (touched.length === 0) return "No row differs.\n"
  const columns: ReadonlyArray<Column<(typeof touched)[number]>> = [
    { title: "TABLE", of: ({ table: name }) => name },
    { title: "ADDED", of: ({ added }) => added, right: true },
    { title: "REMOVED", of: ({ removed }) => removed, right: true },
    { title: "CHANGED", of: ({ changed }) => changed, right: true }
  ]
  const lines = changes.map(({ table: name, change, key, columns: which }) => {
    const words = key.map((part) => (typeof part === "string" ? part : JSON.stringify(part))).join(" ")
    return `${SIGNS[change] ?? "?"} ${name} ${words}${which.length === 0 ? "" : `: ${which.join(", ")}`}\n`
  })
  return `${table(columns, touched)}\n${lines.join("")}${more ? "… and more: --limit N\n" : ""}`
})
