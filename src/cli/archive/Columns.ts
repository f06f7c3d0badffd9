/** A segment as `archive list` shows it, whoever was asked for it. */
import * as Schema from "effect/Schema"
import { instant } from "../Plain.ts"
import type { Column } from "../Table.ts"

export const Segment = Schema.Struct({
  id: Schema.String,
  dataClass: Schema.String,
  namespaceId: Schema.NullOr(Schema.String),
  recordVersion: Schema.Finite,
  count: Schema.Finite,
  from: Schema.Finite,
  to: Schema.Finite,
  bytes: Schema.Finite,
  sha256: Schema.String,
  createdAt: Schema.Finite
})

export const COLUMNS: ReadonlyArray<Column<typeof Segment.Type>> = [
  { title: "SEGMENT", of: ({ id }) => id },
  { title: "CLASS", of: ({ dataClass }) => dataClass },
  { title: "NAMESPACE", of: ({ namespaceId }) => namespaceId ?? "-" },
  { title: "LINES", of: ({ count }) => count, right: true },
  { title: "BYTES", of: ({ bytes }) => bytes, right: true },
  { title: "FROM", of: ({ from }) => instant(from) },
  { title: "TO", of: ({ to }) => instant(to) },
  { title: "WRITTEN", of: ({ createdAt }) => instant(createdAt) },
  { title: "VERSION", of: ({ recordVersion }) => recordVersion, right: true }
]
