/** What the dispatcher is told by jobs that want a slot, and what they hear back. */
import type { DaemonId, JobId, LeaseToken, NamespaceId, NodeId } from "../../schemas/Ids.ts"
import type { Job } from "../../schemas/Job.ts"
import type { Decision } from "../../schemas/NodeProfile.ts"

/** One job without a slot. */
export interface Wanting {
  readonly job: Job
  readonly namespaceId: NamespaceId
  readonly weight: number
  /** Number of the attempt that the slot is for; the lease's token follows from it. */
  readonly attempt: number
  /** The node must go on from what was sent already. */
  readonly mustContinue: boolean
  readonly tried: ReadonlySet<NodeId>
  /** How long the lease lasts unless released. */
  readonly leaseMs: number
}

export type DispatchMessage =
  | { readonly _tag: "Want"; readonly wanting: Wanting }
  | { readonly _tag: "Forget"; readonly jobId: JobId }
  /** The job has its slot in hand, and gives it back itself from now on. */
  | { readonly _tag: "Took"; readonly jobId: JobId }
  /** That daemon does not take jobs now: its nodes are left out for a while. */
  | { readonly _tag: "Unreachable"; readonly daemonId: DaemonId }
  /** Slots may have become free for these models. `done` asks for the next news. */
  | { readonly _tag: "Capacity"; readonly models: ReadonlySet<string>; readonly done: () => void }
  /** Look at everybody who waits once more. */
  | { readonly _tag: "Again" }

export type DispatchAnswer =
  | {
      readonly _tag: "Leased"
      readonly nodeId: NodeId
      readonly lease: LeaseToken
      readonly decision: Decision
      /** The daemon that the node is connected to. */
      readonly daemonId: DaemonId
    }
  /** No node that is here could ever serve what is left of the job. */
  | { readonly _tag: "Unservable"; readonly code: string; readonly decision: Decision }
  /** The dispatcher lost its memory: who still wants a slot says so again. */
  | { readonly _tag: "DispatcherRestarted" }
  /** Too many wait here already: ask again later. */
  | { readonly _tag: "RoomFull" }
