/** Legal holds and erasures: what must not go, and what must. */
import * as Schema from "effect/Schema"
import { gets, posts } from "../Ask.ts"
import { argument, type Command, type Input, REASON } from "../Command.ts"
import { at } from "../Control.ts"
import { instant, oneLine } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, table } from "../Table.ts"

const Erasure = Schema.Struct({
  id: Schema.String,
  namespaceId: Schema.String,
  jobId: Schema.NullOr(Schema.String),
  clientTag: Schema.NullOr(Schema.String),
  by: Schema.String,
  reason: Schema.String,
  askedAt: Schema.Finite,
  erased: Schema.Finite,
  refused: Schema.Finite,
  doneAt: Schema.NullOr(Schema.Finite)
})
type Erasure = typeof Erasure.Type

const isNamespace = (id: string) => id.startsWith("ns_")

const ofWhat = ({ jobId, clientTag }: Erasure): string =>
  jobId ?? (clientTag === null ? "all jobs" : `user ${clientTag}`)

const COLUMNS: ReadonlyArray<Column<Erasure>> = [
  { title: "ERASURE", of: ({ id }) => id },
  { title: "NAMESPACE", of: ({ namespaceId }) => namespaceId },
  { title: "OF", of: (erasure) => oneLine(ofWhat(erasure)) },
  { title: "ASKED", of: ({ askedAt }) => instant(askedAt) },
  { title: "ERASED", of: ({ erased }) => erased, right: true },
  { title: "REFUSED", of: ({ refused }) => refused, right: true },
  { title: "DONE", of: ({ doneAt }) => (doneAt === null ? "-" : instant(doneAt)) }
]

const told = (erasure: Erasure): string => {
  const { id, namespaceId, erased, refused, doneAt } = erasure
  const what = oneLine(`${ofWhat(erasure)} of ${namespaceId}`)
  const so = `${erased} erased, ${refused} refused`
  return doneAt === null
    ? `${id}: ${what} is being erased; ${so} so far. See resultity erasures list.\n`
    : `${id}: ${what} is erased; ${so}.\n`
}

const showErasure = show(Schema.Struct({ erasure: Erasure }), ({ erasure }) => told(erasure))
const showErasures = show(Schema.Struct({ data: Schema.Array(Erasure) }), ({ data }) =>
  data.length === 0 ? "No erasures.\n" : table(COLUMNS, data)
)
const Held = Schema.Union([
  Schema.Struct({ jobId: Schema.String, held: Schema.Boolean }),
  Schema.Struct({
    namespace: Schema.Struct({ id: Schema.String, rules: Schema.Struct({ held: Schema.optionalKey(Schema.Boolean) }) })
  })
])
const showHeld = show(Held, (answer) => {
  const [id, held] =
    "jobId" in answer ? [answer.jobId, answer.held] : [answer.namespace.id, answer.namespace.rules.held]
  return held === true ? `${id} is under legal hold.\n` : `${id} is under no legal hold any more.\n`
})

const SUBJECT = { name: "ID", help: "a job (job_…), or a namespace (ns_…) with all its jobs" } as const

const subjectAt = (input: Input, word: string): string => {
  const id = argument(input, 0)
  return at(isNamespace(id) ? "namespaces" : "jobs", id, word)
}

const hold: Command = {
  path: ["jobs", "hold"],
  args: [SUBJECT],
  flags: [REASON],
  summary: "puts a job, or all jobs of a namespace, under legal hold",
  notes:
    "What is held is neither erased, dropped nor pruned. At 180 days it moves to the archive, in segments of class held.",
  examples: [
    "resultity jobs hold job_01j0example --reason 'case 7'",
    "resultity jobs hold ns_01j0example --reason 'case 7'"
  ],
  run: posts(
    (input) => subjectAt(input, "hold"),
    showHeld,
    () => ({ held: true })
  )
}

const release: Command = {
  path: ["jobs", "release"],
  args: [SUBJECT],
  flags: [REASON],
  summary: "ends a legal hold; the clocks of retention go on as if there had been none",
  examples: ["resultity jobs release job_01j0example --reason 'case 7 is closed'"],
  run: posts(
    (input) => subjectAt(input, "hold"),
    showHeld,
    () => ({ held: false })
  )
}

const erase: Command = {
  path: ["jobs", "erase"],
  args: [SUBJECT],
  flags: [
    { name: "user", value: "TAG", help: "of a namespace, only the jobs of this end user" },
    { name: "namespace", value: "ID", help: "of a job whose row has left the deciding store: whose it was" },
    REASON
  ],
  summary: "forgets what was asked and answered: live and in the archive; a signed hash stays",
  notes:
    "Only what has ended is erased. Under a legal hold nothing is: exit code 5. Of a namespace it goes on in batches; see erasures list.",
  examples: [
    "resultity jobs erase job_01j0example --reason 'request 12'",
    "resultity jobs erase job_01j0example --namespace ns_01j0example --reason 'request 14'",
    "resultity jobs erase ns_01j0example --user customer-7 --reason 'request 13'"
  ],
  run: posts(
    (input) => (isNamespace(argument(input, 0)) ? at("erasures") : at("jobs", argument(input, 0), "erase")),
    showErasure,
    (input) => {
      const id = argument(input, 0)
      const namespaceId = input.flags.get("namespace")
      if (!isNamespace(id)) return namespaceId === undefined ? {} : { namespaceId }
      const user = input.flags.get("user")
      return { namespaceId: id, ...(user === undefined ? {} : { user }) }
    }
  )
}

const list: Command = {
  path: ["erasures", "list"],
  args: [],
  flags: [],
  summary: "orders of erasure and how far each is, newest first",
  notes: "REFUSED counts jobs that have not ended or are under legal hold.",
  examples: ["resultity erasures list"],
  run: gets(() => at("erasures"), showErasures)
}

export const erasureCommands: ReadonlyArray<Command> = [hold, release, erase, list]
