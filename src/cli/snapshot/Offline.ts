/** `snapshot list | verify | diff | export` over an archive itself or a CAR file: no daemon and no database is asked. */
import { open as openFile, rm } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Outage } from "../../layers/Outage.ts"
import type { SnapshotCheck } from "../../schemas/Snapshot.ts"
import type { BrokenSnapshot } from "../../snapshots/Blocks.ts"
import { carOf as carBytes, verifyCar } from "../../snapshots/Car.ts"
import * as Heads from "../../snapshots/Heads.ts"
import { diffIn, listOf, verifyIn } from "../../snapshots/Snapshots.ts"
import { size } from "../archive/Progress.ts"
import { CliFailed, EXIT, usage } from "../CliFailed.ts"
import { argument, type Input } from "../Command.ts"
import { Output } from "../Output.ts"
import { document } from "../Show.ts"
import { archiveOf, carOf, ended, isCar, numberIn, oneOf } from "./Places.ts"
import { reporting } from "./Progress.ts"
import { checkText, showDiff, showHeads } from "./Views.ts"

export const LIMIT_DEFAULT = 100

export const limitOf = ({ flags }: Input): number => Number(flags.get("limit") ?? LIMIT_DEFAULT)

export const list = Effect.fnUntraced(function* (input: Input) {
  const place = yield* archiveOf(input)
  const heads = yield* ended(place)(listOf(place.driver, limitOf(input)))
  return yield* showHeads(input, { data: heads.map((head) => ({ ...head })) })
})

/** One that is named, or all of the place; one line for each thing that is wrong. */
export const verify = Effect.fnUntraced(function* (input: Input) {
  const { status } = yield* Output
  const checks = yield* Effect.ensuring(checksOf(input), status(null))
  const faults = checks.reduce((sum, check) => sum + check.faults.length, 0)
  if (input.json) yield* document({ data: JSON.parse(JSON.stringify(checks)) })
  else {
    const { write } = yield* Output
    if (checks.length === 0) yield* write("No snapshots.\n")
    for (const check of checks) yield* write(checkText(check))
  }
  if (faults === 0) return
  const message = `${faults} ${faults === 1 ? "thing is" : "things are"} wrong in ${input.flags.get("from") ?? ""}.`
  return yield* new CliFailed({ code: "broken", message, exit: EXIT.failed })
})

const checksOf = Effect.fnUntraced(function* (input: Input) {
  const report = yield* reporting
  const signer = input.flags.get("signer") ?? null
  const number = yield* numberIn(input.args[0])
  if (isCar(input)) {
    if (number !== null) return yield* usage("a CAR file holds one snapshot: leave its number out")
    const path = input.flags.get("from") ?? ""
    const check = Effect.flatMap(carOf(path), (file) => ended({ name: path })(verifyCar(file, { signer }, report)))
    return [yield* Effect.scoped(check)]
  }
  const place = yield* archiveOf(input)
  const numbers = number === null ? yield* ended(place)(Heads.numbers(place.driver)) : [number]
  return yield* Effect.forEach(numbers, (one) =>
    ended(place)(headFault(one, verifyIn(place.driver, one, signer, report)))
  )
})

/** A head that cannot be read is one more thing that is wrong, and no reason to look at no other snapshot. */
const headFault = <R, E>(number: number, check: Effect.Effect<SnapshotCheck, BrokenSnapshot | Outage | E, R>) =>
  Effect.catchIf(
    check,
    (error): error is BrokenSnapshot => (error as { readonly _tag?: unknown })._tag === "BrokenSnapshot",
    ({ block, table, why }) =>
      Effect.succeed<SnapshotCheck>({
        number,
        root: null,
        signer: null,
        blocks: 0,
        bytes: 0,
        rows: 0,
        faults: [{ block, table, why }]
      })
  )

export const diff = Effect.fnUntraced(function* (input: Input) {
  if (isCar(input)) return yield* usage("snapshot diff needs an archive: a CAR file holds one snapshot")
  const [from, to] = [yield* numberIn(argument(input, 0)), yield* numberIn(argument(input, 1))]
  const place = yield* archiveOf(input)
  const found = yield* ended(place)(diffIn(place.driver, from ?? 0, to ?? 0, limitOf(input)))
  return yield* showDiff(input, JSON.parse(JSON.stringify(found)))
})

export const exportCar = (input: Input) =>
  Effect.scoped(
    Effect.flatMap(oneOf(input), ({ source, sealed }) => writeCar(input, Effect.succeed(carBytes(source, sealed))))
  )

/** Into a new file; one that broke off is taken away again. */
export const writeCar = <E extends { readonly message: string }, R>(
  input: Input,
  bytes: Effect.Effect<Stream.Stream<Uint8Array, E>, CliFailed, R>
) =>
  Effect.gen(function* () {
    const path = input.flags.get("to") ?? ""
    const stream = yield* bytes
    const { write, status } = yield* Output
    const file = yield* Effect.tryPromise({
      try: () => openFile(path, "wx", 0o600),
      catch: (cause) => cannotWrite(path, cause)
    })
    let written = 0
    const put = (chunk: Uint8Array) =>
      Effect.tryPromise({
        try: () => file.writeFile(chunk).then(() => void (written += chunk.byteLength)),
        catch: (cause) => cannotWrite(path, cause)
      })
    const all = Stream.runForEach(Stream.mapError(stream, toldOf), (chunk) =>
      Effect.andThen(put(chunk), status(`${size(written)} written`))
    )
    yield* all.pipe(
      Effect.andThen(Effect.promise(() => file.sync())),
      Effect.ensuring(
        Effect.andThen(
          status(null),
          Effect.promise(() => file.close())
        )
      ),
      Effect.onError(() => Effect.promise(() => rm(path, { force: true })))
    )
    return yield* input.json ? document({ file: path, bytes: written }) : write(`${path}: ${size(written)}.\n`)
  })

const toldOf = (error: { readonly message: string }): CliFailed =>
  error instanceof CliFailed
    ? error
    : new CliFailed({ code: "broken", message: `${error.message}.`, exit: EXIT.failed })

const cannotWrite = (path: string, cause: unknown): CliFailed =>
  new CliFailed({
    code: "cannot_use",
    message: `--to ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
    exit: EXIT.failed
  })
