/**
 * A run over segments, as `verify`, `cat` and `restore` make it: each is loaded, visited and let go, what is wrong with one is told and the run
 * goes on, and at its end a fault anywhere decides the exit code.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Place } from "../../ArchivePlaces.ts"
import type { SegmentId } from "../../schemas/Archive.ts"
import { CliFailed, EXIT } from "../CliFailed.ts"
import type { Input } from "../Command.ts"
import { Output, type PipeClosed } from "../Output.ts"
import { oneLine } from "../Plain.ts"
import { progress } from "./Progress.ts"
import { FAULTY, type Faulty, type Loaded, loading } from "./Segments.ts"

export interface Visits<E> {
  readonly visit: (segment: Loaded) => Effect.Effect<void, Faulty | E, Output>
  readonly fault: (faulty: Faulty) => Effect.Effect<void, PipeClosed>
}

export const walk = <E>(place: Place, ids: ReadonlyArray<SegmentId>, { visit, fault }: Visits<E>) =>
  Effect.gen(function* () {
    const { through, end } = yield* progress(ids.length)
    yield* loading(place, ids).pipe(
      Stream.runForEach((found) =>
        (found._tag === "Loaded" ? visit(found) : Effect.fail(found)).pipe(
          Effect.catchIf(isFaulty, fault),
          Effect.andThen(through(found._tag === "Loaded" ? found.bytes.byteLength : 0))
        )
      ),
      Effect.ensuring(end)
    )
  })

const isFaulty = <E>(error: Faulty | E): error is Faulty =>
  typeof error === "object" && error !== null && "_tag" in error && FAULTY.some((tag) => tag === error._tag)

export const sentence = ({ segmentId, why }: Faulty): string => oneLine(`${segmentId} ${why}`)

/** Ends the command when there was a fault. */
export const verdict = (faults: number, of: number, { name }: Place): Effect.Effect<void, CliFailed> => {
  if (faults === 0) return Effect.void
  const are = of === 1 ? "segment is" : "segments are"
  const message = `${faults} of ${of} ${are} not whole or cannot be understood, in ${name}.`
  return Effect.fail(new CliFailed({ code: "broken", message, exit: EXIT.failed }))
}

/** Faults on stdout as they are found: a line each, or in one document with the figures after them. */
export const reporting = Effect.fnUntraced(function* ({ json }: Input) {
  const { write } = yield* Output
  let faults = 0
  if (json) yield* write('{"broken":[')
  return {
    faults: () => faults,
    fault: (faulty: Faulty) => {
      const { segmentId, why } = faulty
      const text = json ? `${faults === 0 ? "" : ","}${JSON.stringify({ segmentId, why })}` : `${sentence(faulty)}\n`
      faults++
      return write(text)
    },
    close: (figures: Readonly<Record<string, number>>, text: string) =>
      write(json ? `],${JSON.stringify(figures).slice(1)}\n` : text)
  }
})
