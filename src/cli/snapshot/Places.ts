/** Where snapshots are, for whoever has no daemon: an archive as `--from` names it, or one CAR file. */
import * as Effect from "effect/Effect"
import { CID } from "multiformats/cid"
import type { Place } from "../../ArchivePlaces.ts"
import type { Outage } from "../../layers/Outage.ts"
import type { Refusal } from "../../schemas/Refusal.ts"
import { type BlockSource, type BrokenSnapshot, inColdStorage } from "../../snapshots/Blocks.ts"
import { type CarFile, openCar } from "../../snapshots/Car.ts"
import { headOf, listOf } from "../../snapshots/Snapshots.ts"
import { openPlace, out } from "../archive/Place.ts"
import { CliFailed, EXIT, refused, usage } from "../CliFailed.ts"
import type { Input } from "../Command.ts"

export const isCar = (input: Input): boolean => (input.flags.get("from") ?? "").endsWith(".car")

export const brokenOff = ({ message }: BrokenSnapshot): CliFailed =>
  new CliFailed({ code: "broken", message: `${message}.`, exit: EXIT.failed })

/** Every failure as what the command ends with. */
export const ended =
  (place: Pick<Place, "name">) =>
  <A, R>(effect: Effect.Effect<A, BrokenSnapshot | Refusal | Outage, R>): Effect.Effect<A, CliFailed, R> =>
    Effect.mapError(effect, (error) => {
      switch (error._tag) {
        case "BrokenSnapshot":
          return brokenOff(error)
        case "Refusal":
          return refused(error.meaning.status, error.code, error.message)
        case "Outage":
          return out({ ...place, driver: null as never })(error)
      }
    })

/** The number that was given; null: none. */
export const numberIn = (text: string | undefined): Effect.Effect<number | null, CliFailed> => {
  if (text === undefined) return Effect.succeed(null)
  return /^[1-9][0-9]{0,8}$/.test(text)
    ? Effect.succeed(Number(text))
    : Effect.fail(usage(`${JSON.stringify(text)} is no snapshot's number`))
}

export const archiveOf = (input: Input) => openPlace(input, "from")

export const carOf = (path: string) =>
  openCar(path).pipe(
    Effect.mapError(({ cause }) => {
      const message = `--from: ${cause instanceof Error ? cause.message : String(cause)}`
      const isMissing = cause instanceof Error && "code" in cause && cause.code === "ENOENT"
      return new CliFailed({
        code: isMissing ? "not_found" : "cannot_use",
        message,
        exit: isMissing ? EXIT.notFound : EXIT.failed
      })
    })
  )

export interface One {
  readonly source: BlockSource
  readonly sealed: CID
}

const nothingIn = (name: string) =>
  new CliFailed({ code: "not_found", message: `There is no snapshot in ${name}.`, exit: EXIT.notFound })

/** The snapshot that was named, or the newest one. */
export const oneOf = Effect.fnUntraced(function* (input: Input) {
  const number = yield* numberIn(input.args[0])
  if (isCar(input)) return yield* ofCar(yield* carOf(input.flags.get("from") ?? ""))
  const place = yield* archiveOf(input)
  const { driver } = place
  const head =
    number === null ? (yield* ended(place)(listOf(driver, 1)))[0] : yield* ended(place)(headOf(driver, number))
  if (head === undefined) return yield* nothingIn(place.name)
  return { source: inColdStorage(driver, place.name), sealed: CID.parse(head.sealed) } satisfies One
})

const ofCar = ({ source, sealed, faults }: CarFile): Effect.Effect<One, CliFailed> => {
  const [fault] = faults
  if (sealed !== null && fault === undefined) return Effect.succeed({ source, sealed })
  const message = `${source.name} ${fault?.why ?? "is no CAR file of one snapshot"}.`
  return Effect.fail(new CliFailed({ code: "broken", message, exit: EXIT.failed }))
}
