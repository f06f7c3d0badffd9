/** How a node stands: present or not, trusted or held back, fast or slow. Restrictions come from the registry; the live copy follows them. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { afterFault, afterSuccess, noFaults } from "../../policies/Cooldown.ts"
import { track } from "../../policies/NodeScore.ts"
import type { AgentFrame } from "../../schemas/AgentFrame.ts"
import { freshIncidentId, type JobId } from "../../schemas/Ids.ts"
import type { Severity } from "../../schemas/Incident.ts"
import type { NodePresence } from "../../schemas/NodeProfile.ts"
import type { PresenceChange } from "../../layers/LiveNodes.ts"
import { waitOut } from "../../layers/Outage.ts"
import { leaseAgain } from "./NodeLeases.ts"
import { report, sendFrame, type NodeActorState } from "./NodeActorState.ts"
import type { NodeMessage, NodeSession } from "./NodeMessages.ts"

export const announce = (state: NodeActorState) =>
  Effect.gen(function* () {
    const { session, house, row, self } = state
    if (session === null) return
    const now = yield* Clock.currentTimeMillis
    const { settings } = yield* house.settings.current
    const presence: Omit<NodePresence, "leased"> = {
      nodeId: state.nodeId,
      environment: row.environment,
      daemonId: house.daemonId,
      sessionId: session.id,
      generation: session.generation,
      lifecycle: state.lifecycle,
      restrictions: state.restrictions,
      healthy: state.healthy,
      region: row.profile.region ?? null,
      subclouds: row.profile.subclouds,
      isolated: false,
      gpus: state.gpus,
      slots: row.profile.slots,
      models: state.models,
      track: state.track,
      digest: state.digest,
      lastSeenAt: now
    }
    const known = yield* outageIsTransient(house.live.announce(presence, now + settings.presenceMs))
    if (known === false) return supersede(state, session)
    yield* self.after("presence", settings.heartbeatMs, { _tag: "PresenceDue" })
  })

/** The node has a later session, with this daemon or another: this one is over. */
export const supersede = ({ self }: NodeActorState, session: NodeSession): void => {
  self.self.tellUnsafe({ _tag: "SessionClosed", sessionId: session.id, code: "superseded" })
  session.end("superseded")
}

/** Presence is announced again within a heartbeat, so a failure now only says that it will be late. */
const outageIsTransient = <A>(effect: Effect.Effect<A, { readonly during: string }>) =>
  Effect.catch(effect, ({ during }) => Effect.logWarning("presence not told", { during }))

const refresh = (state: NodeActorState, change: Omit<PresenceChange, "seenAt">) =>
  Effect.gen(function* () {
    const { session, house, nodeId, lastFrameAt } = state
    if (session === null) return
    const { settings } = yield* house.settings.current
    const seen = { ...change, seenAt: lastFrameAt }
    const known = yield* outageIsTransient(
      house.live.refresh(nodeId, session.id, seen, lastFrameAt + settings.presenceMs)
    )
    if (known !== false) return
    yield* announce(state)
    yield* leaseAgain(state)
  })

export const onHeartbeat = (state: NodeActorState, frame: Extract<AgentFrame, { _tag: "Heartbeat" }>) =>
  Effect.gen(function* () {
    state.healthy = frame.healthy
    state.digest = frame.digest
    state.gpus = frame.gpus
    const { healthy, digest, gpus, models } = frame
    if (models !== undefined) state.models = models
    yield* refresh(state, { healthy, digest, gpus, ...(models === undefined ? {} : { models }) })
    const current = yield* state.house.settings.current
    const restrictions = toldOf(state)
    const seen = { _tag: "HeartbeatSeen", digest: current.digest, at: state.lastFrameAt } as const
    sendFrame(state, restrictions.length === 0 ? seen : { ...seen, restrictions })
  })

/** Nobody tells a node of a shadow ban. What people wrote as a reason is theirs; the house's own reasons are told. */
const toldOf = ({ row }: NodeActorState) =>
  row.restrictions
    .filter(({ kind }) => kind !== "shadow_banned")
    .map(({ kind, reason, by, until }) => ({ kind, until, reason: /^(?:daemon|sweeper)\//.test(by) ? reason : null }))

/** A socket that says nothing for as long as a presence lasts is dead, whatever TCP thinks of it. */
export const presenceDue = (state: NodeActorState) =>
  Effect.gen(function* () {
    const { session, house, self, nodeId } = state
    if (session === null) return
    const now = yield* Clock.currentTimeMillis
    const { settings } = yield* house.settings.current
    if (now - state.lastFrameAt >= settings.presenceMs) {
      yield* Effect.logInfo("node is silent", { nodeId, silentMs: now - state.lastFrameAt })
      self.self.tellUnsafe({ _tag: "SessionClosed", sessionId: session.id, code: "silent" })
      return session.end("draining")
    }
    yield* self.after("presence", settings.heartbeatMs, { _tag: "PresenceDue" })
  })

/** Until the registry and the catalogue answer, the node stays among those that are tested. */
export const becomeActive = (state: NodeActorState): Effect.Effect<void> =>
  Effect.catchTag(activate(state), "Outage", () => state.self.after("retest", RELOAD_AGAIN, { _tag: "TestDue" }))

const activate = (state: NodeActorState) =>
  Effect.gen(function* () {
    const { house, nodeId, row } = state
    const at = yield* Clock.currentTimeMillis
    yield* house.nodes.setLifecycle(nodeId, "active", at)
    const known = state.models.map(({ name, endpoints }) => ({
      name,
      endpoints,
      environment: row.environment,
      firstSeenAt: at
    }))
    yield* house.catalog.learn(known)
    state.lifecycle = "active"
    yield* refresh(state, { lifecycle: "active" })
    yield* Effect.logInfo("node is active", { nodeId, models: known.length })
  })

/** Finish what runs, take nothing new; the agent leaves when it has nothing left. */
export const startDrain = (state: NodeActorState) =>
  Effect.gen(function* () {
    state.lifecycle = "draining"
    sendFrame(state, { _tag: "Drain" })
    yield* refresh(state, { lifecycle: "draining" })
  })

export const penalise = (state: NodeActorState, code: string) =>
  Effect.gen(function* () {
    const { house, nodeId, faults } = state
    const now = yield* Clock.currentTimeMillis
    const { settings } = yield* house.settings.current
    const verdict = afterFault(faults, now, settings)
    state.faults = verdict.faults
    state.track = track(state.track, { succeeded: false, firstTokenMs: null, tokensPerSecond: null })
    yield* refresh(state, { track: state.track })
    if (verdict.cooldownMs === null) return
    const restriction = {
      kind: "cooldown" as const,
      reason: `repeated faults, the last one ${code}`,
      by: `daemon/${house.daemonId}`,
      since: now,
      until: now + verdict.cooldownMs
    }
    // Beside the mailbox: what runs on the node goes on while the registry is out.
    const stored = Effect.catchTag(waitOut(house.nodes.restrict(nodeId, restriction)), "Refusal", Effect.die)
    yield* state.self.fork(stored, () => ({ _tag: "RestrictionsChanged" }))
    yield* raise(state, "node_cooldown", "medium", null, { cooldownMs: verdict.cooldownMs, code })
  })

/** It was the job's fault after all. */
export const forgive = (state: NodeActorState) => Effect.sync(() => void (state.faults = noFaults))

export const praise = (state: NodeActorState, seen: Extract<NodeMessage, { _tag: "Praise" }>) => {
  const { firstTokenMs, tokensPerSecond } = seen
  state.faults = afterSuccess(state.faults)
  state.track = track(state.track, { succeeded: true, firstTokenMs, tokensPerSecond })
  return refresh(state, { track: state.track })
}

/** Restrictions that stop what runs as well. */
const STOPPING: ReadonlySet<string> = new Set(["frozen"])

/** How soon the registry is asked again after an outage. */
const RELOAD_AGAIN = "1 second"

export const reloadRestrictions = (state: NodeActorState): Effect.Effect<void> =>
  Effect.catchTag(reload(state), "Outage", () =>
    state.self.after("restrictions", RELOAD_AGAIN, { _tag: "RestrictionsChanged" })
  )

const reload = (state: NodeActorState) =>
  Effect.gen(function* () {
    const { house, nodeId, self } = state
    const now = yield* Clock.currentTimeMillis
    const row = yield* house.nodes.get(nodeId, now)
    if (row === null) return
    state.row = { ...state.row, restrictions: row.restrictions }
    state.restrictions = row.restrictions.map(({ kind }) => kind)
    yield* refresh(state, { restrictions: state.restrictions })
    const ends = row.restrictions.flatMap(({ until }) => (until === null ? [] : [until]))
    if (ends.length > 0) {
      yield* self.after("restrictions", Math.max(1, Math.min(...ends) - now), { _tag: "RestrictionsChanged" })
    }
    if (state.restrictions.some((kind) => STOPPING.has(kind))) stopAttempts(state)
  })

const stopAttempts = (state: NodeActorState): void => {
  const { nodeId } = state
  for (const [jobId, { attempt }] of state.attempts) {
    sendFrame(state, { _tag: "Cancel", jobId, attempt, code: "node_frozen" })
    report(state, jobId, { _tag: "NodeFailed", nodeId, attempt, code: "node_frozen", fault: "nobody" })
  }
  state.attempts.clear()
}

export const raise = (
  state: NodeActorState,
  type: string,
  severity: Severity,
  jobId: JobId | null,
  observed: Schema.Json
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { nodeId, house, self } = state
    const incident = {
      id: yield* freshIncidentId,
      kind: "anomaly" as const,
      type,
      severity,
      subject: `node/${nodeId}`,
      stage: null,
      jobId,
      nodeId,
      namespaceId: null,
      observed,
      expected: null,
      at: yield* Clock.currentTimeMillis
    }
    yield* self.fork(
      Effect.catch(house.incidents.raise([incident]), ({ during }) =>
        Effect.logWarning("incident not stored", { type, nodeId, during })
      )
    )
  })
