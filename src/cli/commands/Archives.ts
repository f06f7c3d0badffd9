/** `archive`: what left the live stores. `cat` hands on lines as they are stored, which is what a later reader will find. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { gets, posts } from "../Ask.ts"
import { argument, type Command, REASON } from "../Command.ts"
import { at, Control } from "../Control.ts"
import { Output } from "../Output.ts"
import { instant } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, table } from "../Table.ts"

const Segment = Schema.Struct({
  id: Schema.String,
  dataClass: Schema.String,
  namespaceId: Schema.String,
  count: Schema.Finite,
  from: Schema.Finite,
  to: Schema.Finite,
  bytes: Schema.Finite,
  sha256: Schema.String,
  createdAt: Schema.Finite
})

const COLUMNS: ReadonlyArray<Column<typeof Segment.Type>> = [
  { title: "SEGMENT", of: ({ id }) => id },
  { title: "CLASS", of: ({ dataClass }) => dataClass },
  { title: "NAMESPACE", of: ({ namespaceId }) => namespaceId },
  { title: "LINES", of: ({ count }) => count, right: true },
  { title: "BYTES", of: ({ bytes }) => bytes, right: true },
  { title: "FROM", of: ({ from }) => instant(from) },
  { title: "TO", of: ({ to }) => instant(to) },
  { title: "WRITTEN", of: ({ createdAt }) => instant(createdAt) }
]

const showSegments = show(Schema.Struct({ data: Schema.Array(Segment) }), ({ data }) =>
  data.length === 0 ? "Nothing is archived.\n" : table(COLUMNS, data)
)
const showVerified = show(
  Schema.Struct({ segment: Segment }),
  ({ segment: { id, count, sha256 } }) => `${id} is whole: ${count} lines, SHA-256 ${sha256}.\n`
)

const SEGMENT = { name: "ID", help: "the segment, as `archive list` names it" } as const

export const archiveCommands: ReadonlyArray<Command> = [
  {
    path: ["archive", "list"],
    args: [],
    flags: [],
    summary: "the segments of the archive",
    notes: "FROM and TO span the ends of the jobs in a segment; BYTES are compressed.",
    examples: ["resultity archive list", "resultity archive list --json | jq '[.data[].count] | add'"],
    run: gets(() => at("archives"), showSegments)
  },
  {
    path: ["archive", "cat"],
    args: [SEGMENT],
    flags: [],
    summary: "the records of a segment, one JSON line each",
    notes: "The same with and without --json. Prompts and answers stand in it where they were kept.",
    examples: ["resultity archive cat seg_0123456789abcdef0123456789abcdef | jq -r .jobId"],
    run: (input) =>
      Effect.gen(function* () {
        const { bytes } = yield* Control
        const { write } = yield* Output
        yield* Stream.runForEach(bytes(at("archives", argument(input, 0))), write)
      })
  },
  {
    path: ["archive", "verify"],
    args: [SEGMENT],
    flags: [REASON],
    summary: "reads a segment back and compares it with its manifest",
    notes: "A broken segment is a conflict, exit code 5, and says what is wrong.",
    examples: ["resultity archive verify seg_0123456789abcdef0123456789abcdef --reason 'monthly check'"],
    run: posts((input) => at("archives", argument(input, 0), "verify"), showVerified)
  }
]
