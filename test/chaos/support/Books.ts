/**
 * When the work is over, the books: receipts are made and the ledger is rolled up, by two daemons at once of which one may die in the middle. What was
 * done twice must not show.
 */
import { Effect, Schedule } from "effect"
import { ReceiptDesk, type ReceiptAudit } from "../../../src/actors/ReceiptDesk.ts"
import { SweepSupervisor } from "../../../src/actors/sweep/SweepSupervisor.ts"
import type { Ended } from "../../../src/layers/Receipts.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import { isTerminal } from "../../../src/schemas/JobState.ts"
import type { ChaosDaemon } from "./ChaosDaemon.ts"
import type { Dice } from "./Dice.ts"
import type { Run } from "./Run.ts"

/** Longer than a call between daemons whose answer was lost. */
const PASS_MS = 40_000
/** Within which somebody leads every sweeper again, asked for once a second. */
const LED_MS = 120_000
/** Daemons that may be lost one after the other. */
const TURNS = 4

export const closeBooks = async (run: Run, dice: Dice): Promise<void> => {
  run.trace("books")
  const ended = endedIn(run)
  const first = run.someDaemon()
  const second = run.someDaemon()
  const passes = [first, second].map((daemon) => askFor(daemon, bookAll(ended)))
  // At this very instant, which is as long as a pass takes: somewhere amid its steps.
  if (second !== null && dice.chance(0.5)) {
    run.outside.after(0, () => (passes[1]?.isOver() === false ? second.crash("crashed") : undefined))
  }
  await run.sim.run(PASS_MS, () => passes.every(({ isOver }) => isOver()))
  for (const [jobId, { hash }] of run.shared.state.leaves) run.history.receipts.set(jobId, hash)
  await closeLast(run, ended)
}

/** By whoever is there; who is lost with it, because it fenced itself meanwhile, leaves it to another one. */
const closeLast = async (run: Run, ended: ReadonlyArray<Ended>): Promise<void> => {
  for (let turn = 0; turn < TURNS; turn++) {
    await run.sim.run(PASS_MS, () => run.someDaemon() !== null)
    const last = askFor(run.someDaemon(), Effect.andThen(insisting(bookAll(ended)), auditAll(ended)), (audits) => {
      run.history.audits = audits as ReadonlyArray<ReceiptAudit>
    })
    await run.sim.run(LED_MS, last.isOver)
    if (!last.isLost()) return
  }
}

const endedIn = ({ shared }: Run): ReadonlyArray<Ended> =>
  [...shared.state.jobs.values()].flatMap(({ row }) =>
    isTerminal(row.state) && shared.records.records.has(row.job.id)
      ? [{ jobId: row.job.id, endedAt: row.finishedAt ?? 0 }]
      : []
  )

const bookAll = (ended: ReadonlyArray<Ended>) =>
  Effect.gen(function* () {
    yield* (yield* ReceiptDesk).makeAll(ended, true)
    yield* (yield* SweepSupervisor).sweep("rollup", false)
  })

const insisting = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.retry(effect, Schedule.spaced("1 second"))

const auditAll = (ended: ReadonlyArray<Ended>) =>
  Effect.gen(function* () {
    const desk = yield* ReceiptDesk
    const store = yield* JobStore
    return yield* Effect.forEach(ended, ({ jobId }) => auditOf(desk, store, jobId))
  })

const auditOf = (desk: ReceiptDesk["Service"], store: JobStore["Service"], jobId: JobId) =>
  Effect.gen(function* () {
    const row = yield* store.get(jobId)
    if (row === null) return yield* Effect.die(new Error(`${jobId} is gone`))
    return yield* desk.audit({ _tag: "Operator", by: "harness" }, row)
  })

const askFor = (
  daemon: ChaosDaemon | null,
  effect: Effect.Effect<unknown, unknown, unknown>,
  told: (value: unknown) => void = () => {}
) => {
  let [isOver, isLost] = [daemon === null, daemon === null]
  daemon?.serve(effect as never, (exit) => {
    isOver = true
    if (exit === "lost") isLost = true
    else if (exit._tag === "Success") told(exit.value)
  })
  return { isOver: () => isOver, isLost: () => isLost }
}
