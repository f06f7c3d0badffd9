/**
 * A process that owns a data folder until it is killed: `node DaemonChild.ts <file> hold` only opens it, `work` runs jobs through the store. It
 * prints one line an operation, synchronously and only after the operation was acknowledged, so that the reader knows what must be there.
 */
import { writeSync } from "node:fs"
import { Effect } from "effect"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { admissionOf, claimOf, finishOf, jobOf, settle, store } from "./StateSamples.ts"

const [path = "", what = "hold"] = process.argv.slice(2)

const say = (line: string) => Effect.sync(() => writeSync(1, `${line}\n`))

const jobs = Effect.fnUntraced(function* (worker: number) {
  const { admit, claim, finish } = yield* JobStore
  for (let number = 1; ; number++) {
    const job = jobOf(`${worker}-${number}`)
    yield* admit(admissionOf(job))
    yield* say(`queued ${job.id}`)
    yield* claim(claimOf(job))
    yield* say(`active ${job.id}`)
    // Every fourth job stays with its owner and is an orphan after the kill.
    if (number % 4 === 0) continue
    yield* finish(finishOf(job))
    yield* say(`completed ${job.id}`)
  }
})

const program = Effect.gen(function* () {
  if (what === "work") {
    yield* settle(1_000_000_000n)
    yield* Effect.forEach(Array.from({ length: 16 }), (_, worker) => jobs(worker), { concurrency: 16, discard: true })
  }
  yield* say("held")
  return yield* Effect.never
})

// A timer holds the process open: Effect alone does not.
setInterval(() => undefined, 60_000)
const refused = await Effect.runPromise(Effect.flip(Effect.provide(program, store(path))))
writeSync(1, `${refused._tag}\n`)
process.exit(1)
