/**
 * `archive cat --from`: lines as they are stored, a piece at a time. Not a byte of a segment is shown before its hash was compared; one that is
 * broken is left out and told on stderr.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { BrokenSegment, linesIn, unpacking } from "../../layers/Archive.ts"
import type { SegmentId } from "../../schemas/Archive.ts"
import { CliFailed, EXIT, usage } from "../CliFailed.ts"
import type { Input } from "../Command.ts"
import { Output, type PipeClosed } from "../Output.ts"
import { openPlace } from "./Place.ts"
import { type Faulty, idsOf, type Loaded } from "./Segments.ts"
import { sentence, verdict, walk } from "./Walk.ts"

/** The line that was looked for is out, and a job stands in one segment. */
class Found extends Data.TaggedError("Found")<{}> {}

export const cat = Effect.fnUntraced(function* (input: Input) {
  const { args, flags } = input
  const job = flags.get("job")
  if (args.length > 0 && flags.has("all")) return yield* usage("archive cat takes either ID or --all, not both")
  if (args.length === 0 && !flags.has("all") && job === undefined) {
    return yield* usage("archive cat needs ID, --all or --job (see resultity archive cat --help)")
  }
  const place = yield* openPlace(input, "from")
  const ids = yield* idsOf(input, place)
  const { note } = yield* Output
  const faults: Array<Faulty> = []
  const isFound = yield* walk(place, ids, {
    visit: job === undefined ? everything : looking(job),
    fault: (faulty) => {
      faults.push(faulty)
      // Alone it is how the command ends.
      return args.length === 1 ? Effect.void : note(sentence(faulty))
    }
  }).pipe(
    Effect.as(false),
    Effect.catchTag("Found", () => Effect.succeed(true))
  )
  if (isFound) return
  const [first] = faults
  if (args.length === 1 && first !== undefined) return yield* alone(first)
  yield* verdict(faults.length, ids.length, place)
  if (job !== undefined) return yield* missing(`${job} is in none of ${ids.length} segments of ${place.name}.`)
})

const missing = (message: string) => new CliFailed({ code: "not_found", message, exit: EXIT.notFound })

const alone = (faulty: Faulty): CliFailed =>
  faulty._tag === "MissingSegment"
    ? missing(`${sentence(faulty)}.`)
    : new CliFailed({ code: "broken", message: `${sentence(faulty)}.`, exit: EXIT.failed })

const everything = ({ id, bytes }: Loaded): Effect.Effect<void, Faulty | PipeClosed, Output> =>
  Effect.flatMap(Output, ({ write }) =>
    Stream.fromAsyncIterable(unpacking(bytes), broken(id)).pipe(Stream.runForEach(write))
  )

const looking =
  (job: string) =>
  ({ id, bytes }: Loaded): Effect.Effect<void, Faulty | PipeClosed | Found, Output> =>
    Effect.gen(function* () {
      const { write } = yield* Output
      const line = yield* Effect.tryPromise({ try: (signal) => lineOf(job, bytes, signal), catch: broken(id) })
      if (line === null) return
      yield* write(Buffer.concat([line, Buffer.from("\n")]))
      return yield* new Found()
    })

const lineOf = async (job: string, bytes: Uint8Array, signal: AbortSignal): Promise<Buffer | null> => {
  const name = Buffer.from(job)
  for await (const line of linesIn(bytes)) {
    if (signal.aborted) return null
    // Parsed only where the name stands at all: it may also stand in what somebody said.
    if (line.includes(name) && jobOf(line) === job) return line
  }
  return null
}

const jobOf = (line: Buffer): unknown =>
  (JSON.parse(line.toString("utf8")) as { readonly record?: { readonly jobId?: unknown } }).record?.jobId

const broken = (id: SegmentId) => (cause: unknown) =>
  new BrokenSegment({
    segmentId: id,
    why: `cannot be unpacked: ${cause instanceof Error ? cause.message : String(cause)}`
  })
