/**
 * What is past its clock leaves the live stores: bodies first, then the rest of a job, then entries and incidents of nobody. Each batch is chosen and
 * marked, archived, read back and verified, and only then let go. Whoever comes after a crash goes on with the marked batches first. A broken archive
 * stops deletion and says so; what is under legal hold stays, or is archived as held at the ceiling.
 */
import * as Effect from "effect/Effect"
import { classOf, cutoffs, type Cutoffs, segmentIdOf, type Step, stepsOf } from "../../policies/Retention.ts"
import type { Namespace } from "../../schemas/Namespace.ts"
import { chooseEntries, countEntries, retireEntries } from "./EntriesRetiring.ts"
import { retireJobs } from "./JobsRetiring.ts"
import { beginPass, NOBODYS, type Pass, type RetentionHouse, waits } from "./RetentionPass.ts"
import type { Options } from "./Sweeper.ts"

export const make = (house: RetentionHouse): Options => ({
  name: "retention",
  everyMs: 60_000,
  batchMax: 500,
  sweepBatch: (watermark, max, dryRun) =>
    Effect.gen(function* () {
      const pass = yield* beginPass(house)
      if (dryRun) return yield* count(house, pass, max)
      const unfinished = yield* retiringJobs(house)
      const unfinishedEntries = yield* house.entries.retiring
      if (unfinished.length + unfinishedEntries.length === 0) yield* choose(house, pass, max)
      let taken = 0
      for (const segment of yield* retiringJobs(house)) taken += yield* retireJobs(house, pass, segment)
      for (const segment of yield* house.entries.retiring) taken += yield* retireEntries(house, pass, segment)
      return { taken, watermark }
    })
})

/** Those that are being erased are not the sweeper's. */
const retiringJobs = ({ retention }: RetentionHouse) =>
  Effect.map(retention.retiring, (segments) => segments.filter(({ leavesAs }) => leavesAs !== "erased"))

/** Marks batches until there are enough for one round. */
const choose = (house: RetentionHouse, pass: Pass, max: number) =>
  Effect.gen(function* () {
    let left = max
    for (const namespace of pass.namespaces) {
      const at = cutoffs(pass.now, namespace.rules, pass.settings)
      for (const step of stepsOf(namespace.rules, at)) {
        if (left <= 0) return
        left -= yield* chooseJobs(house, pass, namespace, step, left)
      }
      left -= yield* chooseEntries(house, pass, namespace, at, left)
    }
    yield* chooseEntries(house, pass, null, cutoffs(pass.now, NOBODYS, pass.settings), left)
  })

const chooseJobs = (house: RetentionHouse, pass: Pass, { id, rules }: Namespace, step: Step, max: number) =>
  Effect.gen(function* () {
    const { part, before, leavesAs } = step
    const due = yield* house.retention.expired(id, before, max, part)
    if (due.length === 0) return 0
    const isUnkept = leavesAs === "bodies" && !rules.persistPayloads
    if (!isUnkept && (yield* waits(pass, classOf[leavesAs], leavesAs === "held"))) return 0
    return yield* house.retention.mark(segmentIdOf(id, due, leavesAs), due, leavesAs)
  })

const count = (house: RetentionHouse, pass: Pass, max: number) =>
  Effect.gen(function* () {
    const detail: Record<string, number> = {}
    let taken = 0
    const add = (name: string, found: number) => {
      if (found > 0) detail[name] = (detail[name] ?? 0) + found
      taken += found
    }
    for (const { id, rules } of pass.namespaces) {
      const at: Cutoffs = cutoffs(pass.now, rules, pass.settings)
      for (const { part, before } of stepsOf(rules, at)) {
        add(id, (yield* house.retention.expired(id, before, max, part)).length)
      }
      for (const [name, found] of yield* countEntries(house, id, at, max)) add(name, found)
    }
    const at = cutoffs(pass.now, NOBODYS, pass.settings)
    for (const [name, found] of yield* countEntries(house, null, at, max)) add(name, found)
    return { taken, watermark: null, detail }
  })
