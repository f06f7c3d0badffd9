/**
 * `archive`: what left the live stores, as a daemon tells of it, or with `--from` as it stands in a folder or a bucket. `cat` hands on lines as
 * they are stored, which is what a later reader will find.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { JobId } from "../../schemas/Ids.ts"
import { cat } from "../archive/Cat.ts"
import { COLUMNS, Segment } from "../archive/Columns.ts"
import { list } from "../archive/List.ts"
import { size } from "../archive/Progress.ts"
import { FROM, INTO, OFFLINE, S3_FLAGS } from "../archive/Place.ts"
import { restore } from "../archive/Restore.ts"
import { verify } from "../archive/Verify.ts"
import { gets, posts } from "../Ask.ts"
import { CliFailed, EXIT, usage } from "../CliFailed.ts"
import { argument, type Command, type Input, REASON, reasonOf } from "../Command.ts"
import { at, Control } from "../Control.ts"
import { Output } from "../Output.ts"
import { counted } from "../Plain.ts"
import { document, reading, show } from "../Show.ts"
import { follow } from "../snapshot/Follow.ts"
import { table } from "../Table.ts"

const showSegments = show(Schema.Struct({ data: Schema.Array(Segment) }), ({ data }) =>
  data.length === 0 ? "Nothing is archived.\n" : table(COLUMNS, data)
)
const showVerified = show(
  Schema.Struct({ segment: Segment }),
  ({ segment: { id, count, sha256 } }) => `${id} is whole: ${count} lines, SHA-256 ${sha256}.\n`
)

const SEGMENTS = { name: "ID", help: "the segment, as `archive list` names it", many: true } as const
const EVERY = { name: "all", help: "every segment; with --from only" }
const JOB = {
  name: "job",
  value: "ID",
  help: "only the line of this job, wherever it is; with --from only",
  check: (text: string) => (Schema.is(JobId)(text) ? null : "is a job's id: job_ and letters or digits")
}

const OFFLINE_ONLY: ReadonlySet<string> = new Set([...S3_FLAGS, EVERY, JOB].map(({ name }) => name))

const withoutPlace = ({ flags }: Input): Result.Result<void, CliFailed> => {
  const offline = [...flags.keys()].find((flag) => OFFLINE_ONLY.has(flag))
  if (offline === undefined) return Result.succeed(undefined)
  return Result.fail(usage(`--${offline} needs --from PLACE: a daemon knows its own archive`))
}

const readOutcome = reading(
  Schema.Struct({
    segments: Schema.Finite,
    rows: Schema.Finite,
    bytes: Schema.Finite,
    broken: Schema.Array(Schema.Struct({ segmentId: Schema.String, why: Schema.String }))
  })
)

/** All segments of a daemon's archive, as its long work: one line for each that is not whole, and then the exit code. */
const verifyAll: Command["run"] = (input) =>
  Effect.gen(function* () {
    const { write } = yield* Output
    const made = yield* follow(
      input,
      yield* (yield* Control).post(at("archives", "verify"), { reason: reasonOf(input) })
    )
    if (made === null) return
    const { segments, rows, bytes, broken } = yield* readOutcome(made)
    const lines = broken.map(({ segmentId, why }) => `${segmentId} ${why}\n`).join("")
    const whole = `${segments - broken.length} of ${counted(segments, "segment")} are whole: ${rows} rows, ${size(bytes)}.\n`
    yield* input.json ? document(made) : write(`${lines}${whole}`)
    if (broken.length === 0) return
    return yield* new CliFailed({
      code: "broken",
      message: `${counted(broken.length, "segment")} not whole.`,
      exit: EXIT.failed
    })
  })

/** A daemon is asked for one segment at a time. */
const one = (name: string, { args }: Input): Result.Result<void, CliFailed> => {
  const [id, second] = args
  const help = `(see resultity ${name} --help)`
  if (id === undefined) return Result.fail(usage(`${name} needs ID: ${SEGMENTS.help} ${help}`))
  if (second === undefined) return Result.succeed(undefined)
  return Result.fail(usage(`${name} does not take ${JSON.stringify(second)}, but with --from ${help}`))
}

const listOfDaemon = gets(() => at("archives"), showSegments)

const online =
  (name: string, run: Command["run"]): Command["run"] =>
  (input) =>
    Effect.fromResult(Result.andThen(withoutPlace(input), one(name, input))).pipe(Effect.andThen(run(input)))

const catOfDaemon = online("archive cat", (input) =>
  Effect.gen(function* () {
    const { bytes } = yield* Control
    const { write } = yield* Output
    yield* Stream.runForEach(bytes(at("archives", argument(input, 0))), write)
  })
)

const verifyOne = online(
  "archive verify",
  posts((input) => at("archives", argument(input, 0), "verify"), showVerified)
)

export const archiveCommands: ReadonlyArray<Command> = [
  {
    path: ["archive", "list"],
    args: [],
    flags: [FROM, ...S3_FLAGS],
    summary: "the segments of the archive",
    notes: `FROM and TO span the ends of the jobs in a segment; BYTES are compressed; VERSION is that of its records.\n${OFFLINE}`,
    examples: [
      "resultity archive list",
      "resultity archive list --json | jq '[.data[].count] | add'",
      "resultity archive list --from data/archive"
    ],
    run: (input) => Effect.andThen(Effect.fromResult(withoutPlace(input)), listOfDaemon(input)),
    offline: list
  },
  {
    path: ["archive", "cat"],
    args: [SEGMENTS],
    flags: [EVERY, JOB, FROM, ...S3_FLAGS],
    summary: "the records of a segment, one JSON line each",
    notes: `The same with and without --json. Prompts and answers stand in it where they were kept.\n${OFFLINE}`,
    examples: [
      "resultity archive cat seg_0123456789abcdef0123456789abcdef | jq -r .record.jobId",
      "resultity archive cat --all --from /backup/archive | jq -r .record.jobId",
      "resultity archive cat --job job_01m88edv52zrbmvhhrps9e5kzy --from /backup/archive"
    ],
    run: catOfDaemon,
    offline: cat
  },
  {
    path: ["archive", "verify"],
    args: [SEGMENTS],
    flags: [{ ...REASON, unless: "from" }, FROM, ...S3_FLAGS],
    summary: "reads segments back and compares them with their manifests",
    notes: `A daemon looks at one segment, and a broken one is a conflict, exit code 5, that says what is wrong; or at all of
them as long work, which goes on without this terminal, and exit code 1 when one is not whole. With --from every segment
is looked at, or those that are named, line by line.\n${OFFLINE}`,
    examples: [
      "resultity archive verify --reason 'monthly check'",
      "resultity archive verify seg_0123456789abcdef0123456789abcdef --reason 'monthly check'",
      "resultity archive verify --from /backup/archive"
    ],
    run: (input) =>
      input.args.length === 0
        ? Effect.andThen(Effect.fromResult(withoutPlace(input)), verifyAll(input))
        : verifyOne(input),
    offline: verify
  },
  {
    path: ["archive", "restore"],
    args: [SEGMENTS],
    flags: [{ ...FROM, needed: "the archive to take them from" }, INTO, ...S3_FLAGS],
    summary: "copies whole segments into another archive, byte by byte",
    notes: `Every segment, or those that are named. Each is verified before and after; what is there already stays, so the same
command goes on after a break. A daemon over the other archive lists and reads them at once; its live records
do not get the jobs back: nothing here writes into a daemon's stores.\n${OFFLINE}`,
    examples: ["resultity archive restore --from /backup/archive --into data/archive"],
    run: restore,
    offline: restore
  }
]
