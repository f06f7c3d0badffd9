/**
 * What a job says of a slot that its node doubts. Wrong by silence is safe (the slot runs out), wrong by a word is not, so it speaks only when it is
 * sure: a grant that lies in its own mailbox behind the question is looked at first.
 */
import * as Effect from "effect/Effect"
import type { NodeReport } from "../node/NodeMessages.ts"
import type { JobActorState } from "./JobActorState.ts"
import { tellNode } from "./JobCommands.ts"

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
