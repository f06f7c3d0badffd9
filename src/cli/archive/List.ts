/** `archive list --from`: manifests as they are read, never all at once, in the shape in which a daemon would list them. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { SegmentManifest } from "../../schemas/Archive.ts"
import type { Input } from "../Command.ts"
import { Output } from "../Output.ts"
import { page } from "../Table.ts"
import { COLUMNS } from "./Columns.ts"
import { openPlace } from "./Place.ts"
import { allIds, FAULTY, loadManifest } from "./Segments.ts"
import { sentence, verdict } from "./Walk.ts"

/** Manifests asked for at a time: they are small, and far away on S3. */
const AT_ONCE = 8
const PAGE = 50

export const list = Effect.fnUntraced(function* (input: Input) {
  const { write, note } = yield* Output
  const place = yield* openPlace(input, "from")
  const ids = yield* allIds(place)
  const show = input.json ? documents : rows()
  let [shown, faults] = [0, 0]
  if (input.json) yield* write('{"data":[')
  yield* Stream.fromIterable(ids).pipe(
    Stream.rechunk(1),
    Stream.mapEffect(
      (id) =>
        loadManifest(place, id).pipe(
          Effect.map(({ manifest }) => [manifest]),
          Effect.catchTag(FAULTY, (faulty) => {
            faults++
            return Effect.as(note(sentence(faulty)), [])
          })
        ),
      { concurrency: AT_ONCE }
    ),
    Stream.flattenIterable,
    Stream.grouped(PAGE),
    Stream.runForEach((manifests) => {
      const text = show(manifests, shown)
      shown += manifests.length
      return write(text)
    })
  )
  if (input.json) yield* write("]}\n")
  else if (ids.length === 0) yield* write("Nothing is archived.\n")
  yield* verdict(faults, ids.length, place)
})

type Show = (manifests: ReadonlyArray<SegmentManifest>, before: number) => string

const documents: Show = (manifests, before) =>
  `${before === 0 ? "" : ","}${manifests.map((manifest) => JSON.stringify(manifest)).join(",")}`

const rows = (): Show => {
  let widths: ReadonlyArray<number> | undefined
  return (manifests) => {
    const next = page(COLUMNS, manifests, widths)
    widths = next.widths
    return next.text
  }
}
