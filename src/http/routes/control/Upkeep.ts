/** Sweepers and what they put away: where each stands, one pass by hand, and the archive. */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import { LongWork } from "../../../actors/LongWork.ts"
import { SweepSupervisor } from "../../../actors/sweep/SweepSupervisor.ts"
import { Archive, type BrokenSegment } from "../../../layers/Archive.ts"
import { SegmentId } from "../../../schemas/Archive.ts"
import { type Refusal, refuse } from "../../../schemas/Refusal.ts"
import type { WorkProgress } from "../../../schemas/Work.ts"
import type { Call } from "../../Call.ts"
import { audit, readReason } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { readOneOf, readQuery } from "../../Query.ts"
import { open } from "../../Route.ts"

const listSweepers = open(() =>
  Effect.flatMap(SweepSupervisor, ({ list }) => Effect.map(list, (data) => plain({ data })))
)

const ONE_OF_THEM = refuse("invalid_request", "A dry run answers at once: leave background out.", {
  param: "background"
})

const sweep = open(
  Effect.fnUntraced(function* (call: Call) {
    const query = yield* readQuery(call.query, ["dry_run", "background"])
    const dryRun = (yield* readOneOf("dry_run", query.dry_run, ["true", "false"])) === "true"
    const isBackground = (yield* readOneOf("background", query.background, ["true", "false"])) === "true"
    if (dryRun && isBackground) return yield* ONE_OF_THEM
    const order = yield* readReason(call)
    const name = call.params["name"] ?? ""
    if (isBackground) return yield* sweepAsWork(name, order)
    const report = yield* (yield* SweepSupervisor).sweep(name, dryRun)
    yield* audit(order, "sweeper.sweep", `sweeper/${name}`, { dryRun, swept: report.swept })
    return plain(report)
  })
)

/** A pass over much that is due takes longer than anybody waits for an answer. */
const sweepAsWork = Effect.fnUntraced(function* (name: string, order: Effect.Success<ReturnType<typeof readReason>>) {
  const { list, sweepWatched } = yield* SweepSupervisor
  if (!(yield* list).some((one) => one.name === name)) {
    return yield* refuse("not_found", `There is no sweeper ${name}.`, { param: "name" })
  }
  const work = yield* (yield* LongWork).start({
    kind: `sweep.${name}`,
    by: order.by,
    unit: "rows",
    run: (report) =>
      Effect.map(
        sweepWatched(name, (done) => report({ done, total: null, unit: "rows", bytes: 0 })),
        (swept) => ({ ...swept })
      )
  })
  yield* audit(order, "sweeper.sweep", `sweeper/${name}`, { work: work.id })
  return plain({ work }, 202)
})

const isSegmentId = Schema.is(SegmentId)
const segmentNotFound = refuse("not_found", "There is no such segment.")

const segmentIdOf = (call: Call) => {
  const id = call.params["id"]
  return isSegmentId(id) ? Effect.succeed(id) : Effect.fail(segmentNotFound)
}

/** A segment without a manifest does not exist; any other fault is told, because nothing may be deleted on its strength. */
const broken = ({ segmentId, why }: BrokenSegment): Refusal =>
  why === "has no manifest" ? segmentNotFound : refuse("conflict", `The segment ${segmentId} is broken: it ${why}.`)

const listArchives = open(
  Effect.fnUntraced(function* () {
    const data = yield* Effect.catchTag((yield* Archive).list, "BrokenSegment", broken)
    return plain({ data })
  })
)

const readArchive = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* segmentIdOf(call)
    const lines = yield* Effect.catchTag((yield* Archive).lines(id), "BrokenSegment", broken)
    return HttpServerResponse.text(lines.map((line) => `${line}\n`).join(""), { contentType: "application/x-ndjson" })
  })
)

const verifyArchive = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* segmentIdOf(call)
    const order = yield* readReason(call)
    const segment = yield* Effect.catchTag((yield* Archive).verify(id), "BrokenSegment", broken)
    yield* audit(order, "archive.verify", `archive/${id}`)
    return plain({ segment, ok: true })
  })
)

/** Every segment that a manifest names, as long work: what is not whole is its result, and stops nothing. */
const verifyArchives = open(
  Effect.fnUntraced(function* (call: Call) {
    const order = yield* readReason(call)
    const archive = yield* Archive
    const work = yield* (yield* LongWork).start({
      kind: "archive.verify",
      by: order.by,
      unit: "rows",
      run: (report) => verifyAll(archive, report)
    })
    yield* audit(order, "archive.verify", `work/${work.id}`)
    return plain({ work }, 202)
  })
)

const verifyAll = Effect.fnUntraced(function* (
  archive: Archive["Service"],
  report: (progress: WorkProgress) => Effect.Effect<void>
) {
  const { segments, broken } = yield* archive.survey
  const total = segments.reduce((sum, { count }) => sum + count, 0)
  const faults = broken.map(({ segmentId, why }) => ({ segmentId, why }))
  let [done, bytes] = [0, 0]
  for (const manifest of segments) {
    yield* report({ done, total, unit: "rows", bytes })
    const fault = yield* Effect.as(archive.verify(manifest.id), null).pipe(
      Effect.catchTag("BrokenSegment", ({ segmentId, why }) => Effect.succeed({ segmentId, why }))
    )
    if (fault !== null) faults.push(fault)
    done += manifest.count
    bytes += manifest.bytes
  }
  yield* report({ done, total, unit: "rows", bytes })
  return { segments: segments.length + broken.length, rows: done, bytes, broken: faults }
})

export const upkeepRoutes = { listSweepers, sweep, listArchives, readArchive, verifyArchive, verifyArchives }
