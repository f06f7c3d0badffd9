/**
 * `archive restore`: segments into another archive, as the same bytes under the same names. Each is looked at line by line before it is written
 * and read back after it, so a run that broke off is repeated and does the rest.
 */
import * as Effect from "effect/Effect"
import type { Place } from "../../ArchivePlaces.ts"
import { blobName, BrokenSegment, manifestName } from "../../layers/Archive.ts"
import { usage } from "../CliFailed.ts"
import type { Input } from "../Command.ts"
import { counted } from "../Plain.ts"
import { inspect } from "./Inspection.ts"
import { openPlace, out } from "./Place.ts"
import { size } from "./Progress.ts"
import { FAULTY, idsOf, load, type Loaded } from "./Segments.ts"
import { reporting, verdict, walk } from "./Walk.ts"

export const restore = Effect.fnUntraced(function* (input: Input) {
  const from = yield* openPlace(input, "from")
  const into = yield* openPlace(input, "into")
  if (from.name === into.name) return yield* usage("--from and --into are the same place")
  const ids = yield* idsOf(input, from)
  const { fault, faults, close } = yield* reporting(input)
  const sum = { restored: 0, present: 0, lines: 0, bytes: 0 }
  yield* walk(from, ids, {
    fault,
    visit: (segment) =>
      Effect.andThen(inspect(segment), put(segment, into)).pipe(
        Effect.map((isNew) => {
          if (isNew) sum.restored++
          else sum.present++
          sum.lines += segment.manifest.count
          sum.bytes += segment.bytes.byteLength
        })
      )
  })
  const { restored, present, lines, bytes } = sum
  const there = present === 0 ? "" : `, ${present} ${present === 1 ? "was" : "were"} there already`
  const whole = `${counted(restored, "segment")} restored${there}: ${counted(lines, "line")}, ${size(bytes)}`
  yield* close(sum, ids.length === 0 ? "Nothing is archived.\n" : `${whole} are whole in ${into.name}.\n`)
  yield* verdict(faults(), ids.length, from)
})

/** False: it was there, whole and the same. What is there whole and another is never replaced; what is there broken is. */
const put = Effect.fnUntraced(function* ({ id, manifest, manifestBytes, bytes }: Loaded, into: Place) {
  const broken = (why: string) => new BrokenSegment({ segmentId: id, why })
  const known = yield* load(into, id).pipe(
    Effect.catchTag(["BrokenSegment", "MissingSegment"], () => Effect.succeed(null)),
    Effect.catchTag("LaterSegment", ({ why }) => Effect.fail(broken(`is in ${into.name} already, and there ${why}`)))
  )
  if (known !== null && known.manifest.sha256 === manifest.sha256) return false
  if (known !== null) return yield* broken(`is in ${into.name} already with other lines, and was left there as it is`)
  // A segment exists once its manifest does.
  yield* into.driver.put(blobName(id), bytes).pipe(Effect.mapError(out(into)))
  yield* into.driver.put(manifestName(id), manifestBytes).pipe(Effect.mapError(out(into)))
  yield* load(into, id).pipe(
    Effect.catchTag(FAULTY, ({ why }) =>
      Effect.fail(broken(`was written to ${into.name}, and what is read there ${why}`))
    )
  )
  return true
})
