/**
 * What a job says of slots that it does not use: of one that it was offered, and of one that its node doubts. Wrong by silence is safe (the slot runs
 * out), wrong by a word is not, so it speaks only when it is sure: a grant that lies in its own mailbox behind the question is looked at first.
 */
import * as Effect from "effect/Effect"
import { isInUse } from "../../policies/LeaseStanding.ts"
import type { JobId } from "../../schemas/Ids.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import type { NodeReport } from "../node/NodeMessages.ts"
import type { Arrival, JobActorState, JobHouse } from "./JobActorState.ts"
import { tellNode } from "./JobCommands.ts"

/** The job went on without it; unless that was on this very slot, it is given back. */
export const refuseGrant = (
  house: JobHouse,
  { jobId, grant, from }: Pick<Arrival, "grant" | "from"> & { readonly jobId: JobId },
  row: JobRow | null
) =>
  Effect.gen(function* () {
    if (grant !== null && !isInUse(row, grant.nodeId, grant.lease)) {
      yield* house.releaseUnclaimed(grant.nodeId, grant.lease)
    }
    if (from !== null) house.mail.post({ _tag: "Inbox", daemonId: from }, { _tag: "JobTaken", jobId, taken: false })
  })

type Doubted = Extract<NodeReport, { _tag: "LeaseDoubted" }>

export const onLeaseDoubted = (state: JobActorState, doubted: Doubted): Effect.Effect<void> =>
  Effect.sync(() => {
    if (!isWanted(state, doubted)) state.self.self.tellUnsafe({ _tag: "LeaseDoubtedStill", doubted })
  })

export const onLeaseDoubtedStill = (state: JobActorState, doubted: Doubted): Effect.Effect<void> =>
  Effect.sync(() => {
    const { nodeId, token, expiresAt } = doubted
    if (!isWanted(state, doubted)) tellNode(state, nodeId, { _tag: "LeaseUnwanted", token, expiresAt })
  })

/** It claims under it, or offers it to the node's daemon. */
const isWanted = ({ machine, handing }: JobActorState, { nodeId, token }: Doubted): boolean =>
  [machine, handing].some((user) => user?.nodeId === nodeId && user.lease === token)
