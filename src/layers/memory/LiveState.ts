/**
 * Presence and leases in memory, as plain data: what Redis holds for a fleet, without its clock and its wire. Every call is
 * one synchronous step, which is what makes taking a slot atomic.
 *
 * What ran out is found by the call that brings the time, soonest first, and never by looking at all of it. The cost of
 * candidates, take and release does not grow with the fleet; it grows with the models of the node that is taken.
 */
import type { LeaseToken, NodeId, SessionId } from "../../schemas/Ids.ts"
import type { Endpoint, Environment } from "../../schemas/Job.ts"
import type { NodePresence, ServedModel } from "../../schemas/NodeProfile.ts"
import type { CandidateQuery, Candidates, Lease, SeenLease, StrangersQuery } from "../Leases.ts"
import type { LiveModel, PresenceChange } from "../LiveNodes.ts"
import { Expiries } from "./Expiries.ts"
import { isReady, ModelIndex } from "./ModelIndex.ts"
import { LeaseEntry, LeaseHolder, NodeEntry } from "./NodeEntry.ts"

/** Told of what nobody asked for. */
export interface LiveListener {
  /** These models may have a free slot now. */
  readonly capacity: (models: Iterable<string>) => void
  /** Something will run out sooner than all that was there before. */
  readonly sooner: (at: number) => void
}

interface Models {
  readonly byName: Map<string, ModelIndex>
  listed: ReadonlyArray<LiveModel> | undefined
}

const emptyModels = (): Models => ({ byName: new Map(), listed: undefined })

export class LiveState {
  private readonly listener: LiveListener
  private readonly nodes = new Map<NodeId, NodeEntry>()
  /** Of every node that is present or has leases. */
  private readonly holders = new Map<NodeId, LeaseHolder>()
  private readonly expiries = new Expiries<NodeEntry | LeaseEntry>()
  private models: Record<Environment, Models> = { testnet: emptyModels(), mainnet: emptyModels() }

  constructor(listener: LiveListener) {
    this.listener = listener
  }

  announce(presence: Omit<NodePresence, "leased">, expiresAt: number): boolean {
    const before = this.nodes.get(presence.nodeId)
    if (before !== undefined && before.presence.generation > presence.generation) return false
    if (before !== undefined) this.removeNode(before)
    const node = new NodeEntry(presence, this.holderOf(presence.nodeId))
    node.holder.node = node
    this.nodes.set(presence.nodeId, node)
    this.enterModels(node)
    this.expire(node, expiresAt)
    this.wake(node)
    return true
  }

  refresh(nodeId: NodeId, sessionId: SessionId, change: PresenceChange, expiresAt: number): boolean {
    const { seenAt, ...changed } = change
    this.sweep(seenAt)
    const node = this.nodes.get(nodeId)
    if (node === undefined || node.presence.sessionId !== sessionId) return false
    const presence = { ...node.presence, ...changed, lastSeenAt: seenAt }
    const couldTake = node.canTake
    const moves = changed.models !== undefined || isReady(presence) !== node.ready
    if (moves) this.leaveModels(node)
    node.change(presence)
    if (moves) this.enterModels(node)
    this.expire(node, expiresAt)
    if (!couldTake || changed.models !== undefined) this.wake(node)
    return true
  }

  withdraw(nodeId: NodeId, sessionId: SessionId): void {
    const node = this.nodes.get(nodeId)
    if (node?.presence.sessionId === sessionId) this.removeNode(node)
  }

  get(nodeId: NodeId, now: number): NodePresence | null {
    this.sweep(now)
    return this.nodes.get(nodeId)?.view() ?? null
  }

  list(now: number): ReadonlyArray<NodePresence> {
    this.sweep(now)
    return Array.from(this.nodes.values(), (node) => node.view()).sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))
  }

  modelsOf(environment: Environment, now: number): ReadonlyArray<LiveModel> {
    this.sweep(now)
    const models = this.models[environment]
    models.listed ??= Array.from(models.byName.values(), (index) => index.view()).sort((a, b) =>
      a.name < b.name ? -1 : 1
    )
    return models.listed
  }

  candidates(query: CandidateQuery, random: () => number): Candidates {
    this.sweep(query.now)
    const index = this.models[query.environment].byName.get(query.model)
    if (index === undefined) return { nodes: [], free: 0, serving: 0 }
    const drawn = index.free.draw(query.sampleMax, (node) => !query.except.has(node.presence.nodeId), random)
    return { nodes: drawn.map((node) => node.view()), free: index.free.size, serving: index.serving }
  }

  take(lease: Lease, now: number): boolean {
    this.sweep(now)
    const node = this.nodes.get(lease.nodeId)
    if (node === undefined || lease.expiresAt <= now) return false
    const known = node.holder.leases.get(lease.token)
    if (known !== undefined) {
      // It moves at least a little, so that who saw it before can tell that it was taken since.
      this.expire(known, Math.max(known.expiresAt + 1, lease.expiresAt))
      return true
    }
    if (!node.hasFreeSlot) return false
    const entry = new LeaseEntry(lease.token, node.holder)
    node.holder.leases.set(lease.token, entry)
    this.expire(entry, lease.expiresAt)
    this.leasedMore(node, 1)
    return true
  }

  renew(lease: Lease, now: number): boolean {
    this.sweep(now)
    const known = this.holders.get(lease.nodeId)?.leases.get(lease.token)
    if (known === undefined) return false
    this.expire(known, lease.expiresAt)
    return true
  }

  release(nodeId: NodeId, token: LeaseToken): void {
    const lease = this.holders.get(nodeId)?.leases.get(token)
    if (lease !== undefined) this.removeLease(lease)
  }

  strangers({ nodeId, sessionId, known, max, now }: StrangersQuery): ReadonlyArray<SeenLease> {
    this.sweep(now)
    const node = this.nodes.get(nodeId)
    if (node?.presence.sessionId !== sessionId) return []
    return [...node.holder.leases.values()]
      .filter(({ token }) => !known.has(token))
      .sort((a, b) => a.expiresAt - b.expiresAt)
      .slice(0, max)
      .map(({ token, expiresAt }) => ({ token, expiresAt }))
  }

  releaseUnchanged(nodeId: NodeId, sessionId: SessionId, seen: ReadonlyArray<SeenLease>): number {
    const node = this.nodes.get(nodeId)
    if (node?.presence.sessionId !== sessionId) return 0
    let freed = 0
    for (const { token, expiresAt } of seen) {
      const lease = node.holder.leases.get(token)
      if (lease?.expiresAt !== expiresAt) continue
      this.removeLease(lease)
      freed += 1
    }
    return freed
  }

  /** Removes what has run out by `now`, and tells whom that may have given a slot. */
  sweep(now: number): void {
    for (
      let first = this.expiries.first();
      first !== undefined && first.expiresAt <= now;
      first = this.expiries.first()
    ) {
      if (first instanceof LeaseEntry) this.removeLease(first)
      else {
        this.removeNode(first)
        this.listener.capacity(first.served.map(({ index }) => index.name))
      }
    }
  }

  /** When the next thing runs out; infinite when nothing is there. */
  nextExpiry(): number {
    return this.expiries.first()?.expiresAt ?? Infinity
  }

  isServed(model: string): boolean {
    return this.models.mainnet.byName.has(model) || this.models.testnet.byName.has(model)
  }

  get modelCount(): number {
    return this.models.mainnet.byName.size + this.models.testnet.byName.size
  }

  wipe(): void {
    this.nodes.clear()
    this.holders.clear()
    this.expiries.clear()
    this.models = { testnet: emptyModels(), mainnet: emptyModels() }
  }

  private holderOf(nodeId: NodeId): LeaseHolder {
    const known = this.holders.get(nodeId)
    if (known !== undefined) return known
    const holder = new LeaseHolder(nodeId)
    this.holders.set(nodeId, holder)
    return holder
  }

  private expire(entry: NodeEntry | LeaseEntry, at: number): void {
    this.expiries.set(entry, at)
    this.listener.sooner(at)
  }

  private wake(node: NodeEntry): void {
    if (node.canTake) this.listener.capacity(node.served.map(({ index }) => index.name))
  }

  private removeNode(node: NodeEntry): void {
    this.expiries.remove(node)
    this.leaveModels(node)
    this.nodes.delete(node.presence.nodeId)
    node.holder.node = undefined
    this.forgetIfUnused(node.holder)
  }

  private removeLease(lease: LeaseEntry): void {
    const { holder } = lease
    this.expiries.remove(lease)
    holder.leases.delete(lease.token)
    if (holder.node === undefined) this.forgetIfUnused(holder)
    else {
      this.leasedMore(holder.node, -1)
      this.wake(holder.node)
    }
  }

  private forgetIfUnused(holder: LeaseHolder): void {
    if (holder.node === undefined && holder.leases.size === 0) this.holders.delete(holder.nodeId)
  }

  private leasedMore(node: NodeEntry, by: number): void {
    this.models[node.presence.environment].listed = undefined
    node.leasedMore(by)
  }

  private enterModels(node: NodeEntry): void {
    const models = this.models[node.presence.environment]
    models.listed = undefined
    node.served = Array.from(endpointsByModel(node.presence.models), ([name, endpoints]) => {
      let index = models.byName.get(name)
      if (index === undefined) {
        index = new ModelIndex(name)
        models.byName.set(name, index)
      }
      index.enter(node, endpoints)
      return { index, endpoints }
    })
  }

  private leaveModels(node: NodeEntry): void {
    const models = this.models[node.presence.environment]
    models.listed = undefined
    for (const { index, endpoints } of node.served) {
      index.leave(node, endpoints)
      if (index.serving === 0) models.byName.delete(index.name)
    }
  }
}

/** A node may name a model twice, with different endpoints; it still serves it once. */
const endpointsByModel = (served: ReadonlyArray<ServedModel>): ReadonlyMap<string, Set<Endpoint>> => {
  const models = new Map<string, Set<Endpoint>>()
  for (const { name, endpoints } of served) {
    const known = models.get(name)
    if (known === undefined) models.set(name, new Set(endpoints))
    else for (const endpoint of endpoints) known.add(endpoint)
  }
  return models
}
