/** `archive verify --from`: every segment, or those that are named, read back in full; one line for each that is not whole. */
import * as Effect from "effect/Effect"
import type { Input } from "../Command.ts"
import { counted } from "../Plain.ts"
import { inspect } from "./Inspection.ts"
import { openPlace } from "./Place.ts"
import { size } from "./Progress.ts"
import { idsOf } from "./Segments.ts"
import { reporting, verdict, walk } from "./Walk.ts"

export const verify = Effect.fnUntraced(function* (input: Input) {
  const place = yield* openPlace(input, "from")
  const ids = yield* idsOf(input, place)
  const { fault, faults, close } = yield* reporting(input)
  const whole = { segments: 0, lines: 0, bytes: 0 }
  yield* walk(place, ids, {
    fault,
    visit: (segment) =>
      Effect.map(inspect(segment), () => {
        whole.segments++
        whole.lines += segment.manifest.count
        whole.bytes += segment.bytes.byteLength
      })
  })
  const { segments, lines, bytes } = whole
  const are = `${counted(segments, "segment")} ${segments === 1 ? "is" : "are"} whole`
  yield* close(
    whole,
    ids.length === 0 ? "Nothing is archived.\n" : `${are}: ${counted(lines, "line")}, ${size(bytes)}.\n`
  )
  yield* verdict(faults(), ids.length, place)
})
