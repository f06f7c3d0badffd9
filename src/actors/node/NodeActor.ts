/**
 * One node: the authority on its own slots, its link and its standing. What it owns: the node's session and the attempts under way there.
 * What ends it: ten minutes without a session. A crash loses nothing: the agent says again what it holds when its session is renewed.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { ActorContext, Behavior } from "../../kernel/Actor.ts"
import { resultVerifier } from "../../layers/Signatures.ts"
import { noFaults } from "../../policies/Cooldown.ts"
import { freshTrack } from "../../policies/NodeScore.ts"
import type { NodeRow } from "../../schemas/NodeProfile.ts"
import type { NodeActorState, NodeHouse } from "./NodeActorState.ts"
import { report, sendFrame } from "./NodeActorState.ts"
import { assign, cancelAttempt, lookAtHeld, onFrames, reattach, settleAttempt } from "./NodeAttempts.ts"
import { leaseUnwanted, lookAtLeases } from "./NodeLeases.ts"
import type { NodeMessage, NodeSession } from "./NodeMessages.ts"
import {
  announce,
  forgive,
  penalise,
  praise,
  presenceDue,
  reloadRestrictions,
  startDrain,
  supersede
} from "./NodeStanding.ts"
import { startTests, testTimedOut } from "./NodeTests.ts"

/** How long an actor outlives its last session. */
const IDLE_MAX = "10 minutes"

export const behavior = (house: NodeHouse, row: NodeRow): Behavior<NodeMessage, NodeActorState> => ({
  init: (self) => Effect.sync(() => makeState(house, row, self)),
  receive: (state, message) => Effect.as(receive(state, message), state),
  // The attempts are reported gone and the agent is asked to come again: the next incarnation starts from what it then says.
  stop: (state) => {
    const { session } = state
    return Effect.andThen(
      loseSession(state, "restarted"),
      Effect.sync(() => session?.end("draining"))
    )
  }
})

const makeState = (house: NodeHouse, row: NodeRow, self: ActorContext<NodeMessage>): NodeActorState => ({
  house,
  self,
  nodeId: row.nodeId,
  row,
  session: null,
  verify: () => false,
  lifecycle: row.lifecycle,
  attempts: new Map(),
  held: new Map(),
  awaited: new Map(),
  saidHolding: false,
  openLeases: new Map(),
  lookingAtLeases: false,
  tests: new Map(),
  passed: new Set(),
  restrictions: row.restrictions.map(({ kind }) => kind),
  faults: noFaults,
  track: freshTrack,
  healthy: true,
  digest: "",
  gpus: row.profile.gpus,
  models: row.profile.models,
  lastFrameAt: 0
})

const receive = (state: NodeActorState, message: NodeMessage): Effect.Effect<void, unknown> => {
  switch (message._tag) {
    case "SessionOpened":
      return onSessionOpened(state, message.session)
    case "ConnectedElsewhere":
      return Effect.sync(() => {
        const { session } = state
        if (session !== null && session.generation < message.generation) supersede(state, session)
      })
    case "FramesCame":
      return message.sessionId === state.session?.id ? onFrames(state, message.frames) : Effect.void
    case "SessionClosed":
      return message.sessionId === state.session?.id ? loseSession(state, message.code) : Effect.void
    case "Assign":
      return assign(state, message.assignment)
    case "Reattach":
      return reattach(state, message)
    case "CancelAttempt":
      return cancelAttempt(state, message)
    case "Stored":
      return Effect.sync(() => {
        const { jobId, attempt, seq } = message
        sendFrame(state, { _tag: "Acknowledge", jobId, attempt, seq })
      })
    case "SettleAttempt":
      return settleAttempt(state, message)
    case "Penalise":
      return penalise(state, message.code)
    case "Forgive":
      return forgive(state)
    case "Praise":
      return praise(state, message)
    case "RestrictionsChanged":
      return reloadRestrictions(state)
    case "DrainAsked":
      return startDrain(state)
    case "TestDue":
      return startTests(state)
    case "TestTimedOut":
      return testTimedOut(state, message.jobId)
    case "PresenceDue":
      return lookAtHeld(state).pipe(Effect.andThen(lookAtLeases(state)), Effect.andThen(presenceDue(state)))
    case "LeaseUnwanted":
      return leaseUnwanted(state, message)
    case "Idle":
      return state.session === null ? state.self.stop : Effect.void
  }
}

/** A newer session fences the older one: from here on only its frames count. */
const onSessionOpened = (state: NodeActorState, session: NodeSession) =>
  Effect.gen(function* () {
    const older = state.session
    if (older !== null && older.generation > session.generation) return session.end("superseded")
    if (older !== null) {
      yield* loseSession(state, "superseded")
      older.end("superseded")
    }
    const { house, nodeId } = state
    const now = yield* Clock.currentTimeMillis
    // Without an answer the row of the last registration holds; the restrictions are asked for again below.
    const row = yield* Effect.catchTag(house.nodes.get(nodeId, now), "Outage", () => Effect.succeed(null))
    if (row !== null) state.row = row
    state.session = session
    state.verify = resultVerifier(session.sessionKey)
    state.saidHolding = false
    state.healthy = true
    state.models = session.profile.models
    state.gpus = session.profile.gpus
    state.restrictions = state.row.restrictions.map(({ kind }) => kind)
    state.lastFrameAt = now
    state.lifecycle = session.tested ? "active" : "testing"
    yield* state.self.cancelAfter("idle")
    yield* announce(state)
    house.mail.post(
      { _tag: "Topic", topic: "node" },
      { _tag: "NodeConnected", nodeId, by: house.daemonId, generation: session.generation }
    )
    yield* Effect.logInfo("node connected", { nodeId, name: session.profile.name, lifecycle: state.lifecycle })
    if (!session.tested) yield* startTests(state)
    yield* reloadRestrictions(state)
  })

const loseSession = (state: NodeActorState, code: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { session, nodeId, house } = state
    if (session === null) return
    state.session = null
    state.verify = () => false
    for (const [jobId, { attempt }] of state.attempts) {
      if (report(state, jobId, { _tag: "NodeGone", nodeId, attempt, code })) state.awaited.set(jobId, attempt)
    }
    state.attempts.clear()
    state.held.clear()
    for (const jobId of state.tests.keys()) yield* state.self.cancelAfter(`test/${jobId}`)
    state.tests.clear()
    yield* state.self.cancelAfter("presence")
    yield* state.self.after("idle", IDLE_MAX, { _tag: "Idle" })
    yield* Effect.logInfo("node disconnected", { nodeId, code })
    yield* Effect.catch(house.live.withdraw(nodeId, session.id), ({ during }) =>
      Effect.logWarning("presence runs out by itself", { nodeId, during })
    )
  })
