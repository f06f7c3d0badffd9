/**
 * The choice of a node for one job: a bounded sample of the nodes with a free slot, judged by `policies/Eligibility`, ranked by
 * `policies/NodeScore`, and taken atomically. Its cost grows with the sample, not with the fleet.
 */
import * as Effect from "effect/Effect"
import type { Registry } from "../../kernel/Registry.ts"
import type { Candidates, Leases } from "../../layers/Leases.ts"
import type { LiveNodes } from "../../layers/LiveNodes.ts"
import type { Outage } from "../../layers/Outage.ts"
import type { Settings } from "../../layers/Settings.ts"
import { exclusionOf } from "../../policies/Eligibility.ts"
import { compareScored, scoreOf, type Scored } from "../../policies/NodeScore.ts"
import type { DaemonId, LeaseToken, NodeId } from "../../schemas/Ids.ts"
import type { Decision, Exclusion } from "../../schemas/NodeProfile.ts"
import type { Wanting } from "./DispatchMessages.ts"

/** What dispatch works with. */
export interface DispatchHouse {
  readonly registry: Registry["Service"]
  readonly leases: Leases["Service"]
  readonly live: LiveNodes["Service"]
  readonly settings: Settings["Service"]
  readonly daemonId: DaemonId
  /** Daemons whose nodes are left out, and until when. */
  readonly avoided: Map<DaemonId, number>
}

/** The lease that is asked for. */
export interface Asked {
  readonly token: LeaseToken
  readonly expiresAt: number
  /** Told before each try, and with null after its answer: while there is none, the lease may have been taken or not. */
  readonly trying: (nodeId: NodeId | null) => void
}

export type Choice =
  | { readonly _tag: "Chosen"; readonly nodeId: NodeId; readonly daemonId: DaemonId; readonly decision: Decision }
  /** Not now. */
  | { readonly _tag: "None"; readonly decision: Decision }
  /** Not with any node that is here. */
  | { readonly _tag: "Never"; readonly code: string; readonly decision: Decision }

/** Looked at first; when none of them will do and there are more, looked at then. */
const SAMPLES = [16, 256]
/** Candidates kept with the decision. */
const TOLD_MAX = 8

export const choose = (
  house: DispatchHouse,
  wanting: Wanting,
  lease: Asked,
  now: number
): Effect.Effect<Choice, Outage> =>
  Effect.gen(function* () {
    const { job } = wanting
    const { token, expiresAt } = lease
    let judged: Judged | undefined
    for (const sampleMax of SAMPLES) {
      const candidates = yield* candidatesFor(house, wanting, sampleMax, now)
      judged = yield* judge(house, wanting, candidates, now)
      for (const { nodeId, daemonId } of judged.ranked) {
        lease.trying(nodeId)
        const taken = yield* house.leases.take({ token, expiresAt, nodeId, jobId: job.id }, now)
        lease.trying(null)
        if (taken) {
          return { _tag: "Chosen", nodeId, daemonId, decision: decide(wanting, judged, nodeId, now) } as const
        }
      }
      if (candidates.free <= candidates.nodes.length) break
    }
    const decision = decide(wanting, judged, null, now)
    if (wanting.mustContinue && !(yield* anyContinues(house, wanting, now))) {
      return { _tag: "Never", code: "no_continuation", decision } as const
    }
    return { _tag: "None", decision } as const
  })

/** Of a job that is for one node there is one to look at, whatever else is there. */
const candidatesFor = ({ leases, live }: DispatchHouse, { job }: Wanting, sampleMax: number, now: number) => {
  const { environment, model, constraints } = job
  if (constraints.node === undefined) return leases.candidates({ environment, model, sampleMax, except: NOBODY, now })
  return Effect.map(live.get(constraints.node, now), (node): Candidates => {
    const nodes = node === null ? [] : [node]
    return { nodes, free: nodes.length, serving: nodes.length }
  })
}

/** What a node of another daemon is worth beside one of ours: the job has to go there, which costs it some milliseconds. */
const REMOTE_SHARE = 0.8

const NOBODY: ReadonlySet<NodeId> = new Set()

interface Ranked extends Scored {
  readonly daemonId: DaemonId
}

interface Judged {
  readonly ranked: ReadonlyArray<Ranked>
  readonly excluded: Record<string, number>
  readonly looked: number
  readonly serving: number
}

/** A node that had the job gets it again only when no other one serves the model. */
const judge = (house: DispatchHouse, wanting: Wanting, candidates: Candidates, now: number) =>
  Effect.gen(function* () {
    const { settings } = yield* house.settings.current
    const { job, tried, mustContinue } = wanting
    const context = {
      now,
      presenceMs: settings.presenceMs,
      tried: tried.size < candidates.serving ? tried : NOBODY,
      needsContinuation: mustContinue,
      digests: null
    }
    const ranked: Array<Ranked> = []
    const excluded: Record<string, number> = {}
    const exclude = (reason: Exclusion, count: number) => void (excluded[reason] = (excluded[reason] ?? 0) + count)
    for (const node of candidates.nodes) {
      const { nodeId, daemonId } = node
      const reason = isAvoided(house, daemonId, now) ? "offline" : exclusionOf(job, node, context)
      const score = scoreOf(node, job.model) * (daemonId === house.daemonId ? 1 : REMOTE_SHARE)
      if (reason === null) ranked.push({ nodeId, daemonId, score })
      else exclude(reason, 1)
    }
    if (candidates.serving > candidates.free) exclude("no_free_slot", candidates.serving - candidates.free)
    ranked.sort(compareScored)
    return { ranked, excluded, looked: candidates.nodes.length, serving: candidates.serving } satisfies Judged
  })

const isAvoided = ({ avoided }: DispatchHouse, daemonId: DaemonId, now: number) => (avoided.get(daemonId) ?? 0) > now

const decide = ({ attempt }: Wanting, judged: Judged | undefined, chosen: NodeId | null, at: number): Decision => ({
  at,
  attempt,
  chosen,
  candidates: (judged?.ranked ?? []).slice(0, TOLD_MAX).map(({ nodeId, score }) => ({ nodeId, score })),
  excluded: judged?.excluded ?? {},
  looked: judged?.looked ?? 0,
  serving: judged?.serving ?? 0
})

/** Whether somebody who serves the model could go on from a prefix, busy or not; also true while nobody serves it at all. */
const anyContinues = ({ live }: DispatchHouse, { job }: Wanting, now: number) =>
  Effect.map(live.list(now), (nodes) => {
    const served = nodes.flatMap(({ environment, models }) =>
      environment === job.environment ? models.filter(({ name }) => name === job.model) : []
    )
    return served.length === 0 || served.some(({ canContinue }) => canContinue)
  })
