/** The groups of the control listener for snapshots and for long work. */
import * as Schema from "effect/Schema"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { SnapshotDiff, SnapshotHead } from "../schemas/Snapshot.ts"
import { WorkView } from "../schemas/Work.ts"
import { get, id, many, optional, order, post, Reason, says } from "./ApiWords.ts"
import { CreateSnapshotOrder, PruneSnapshotsOrder } from "./routes/control/Snapshots.ts"

const WorkAnswer = Schema.Struct({ work: WorkView })
export const Started = WorkAnswer.pipe(HttpApiSchema.status(202))
const number = { number: Schema.String }

export class SnapshotsGroup extends HttpApiGroup.make("snapshots").add(
  get("listSnapshots", "/control/snapshots", { query: { limit: optional }, success: many(SnapshotHead) }).annotate(
    says,
    "Newest first"
  ),
  post("createSnapshot", "/control/snapshots", {
    payload: order(CreateSnapshotOrder),
    success: Started
  }).annotate(says, "Begins one; the work's result is its head"),
  post("pruneSnapshots", "/control/snapshots/prune", {
    payload: order(PruneSnapshotsOrder),
    success: Started
  }).annotate(says, "Begins to delete all but the newest; the work's result says how many snapshots and blocks went"),
  get("getSnapshot", "/control/snapshots/:number", {
    params: number,
    success: Schema.Struct({ snapshot: SnapshotHead })
  }),
  post("verifySnapshot", "/control/snapshots/:number/verify", {
    params: number,
    payload: Reason,
    success: Started
  }).annotate(says, "Begins to read every block back; the work's result names what is broken"),
  get("diffSnapshots", "/control/snapshots/:number/diff/:to", {
    params: { number: Schema.String, to: Schema.String },
    query: { limit: optional },
    success: SnapshotDiff
  }).annotate(says, "Rows that were added, removed or changed"),
  get("exportSnapshot", "/control/snapshots/:number/car", {
    params: number,
    success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "application/vnd.ipld.car" }))
  }).annotate(says, "The snapshot as one CAR file")
) {}

export class Works extends HttpApiGroup.make("works").add(
  get("listWorks", "/control/works", { success: many(WorkView) }).annotate(says, "Long work of this daemon"),
  get("getWork", "/control/works/:id", { params: id, success: WorkAnswer }).annotate(says, "How far it is"),
  post("cancelWork", "/control/works/:id/cancel", { params: id, payload: Reason, success: WorkAnswer })
) {}
