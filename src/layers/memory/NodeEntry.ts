/**
 * One present node in memory, and the leases on its slots. The leases belong to the node's id and not to its presence: they
 * outlive a session, and a node that comes back finds them.
 */
import type { Endpoint } from "../../schemas/Job.ts"
import type { LeaseToken, NodeId } from "../../schemas/Ids.ts"
import type { NodePresence } from "../../schemas/NodeProfile.ts"
import type { Expiring } from "./Expiries.ts"
import { type IndexedNode, isReady, type ModelIndex } from "./ModelIndex.ts"

export class LeaseEntry implements Expiring {
  readonly token: LeaseToken
  readonly holder: LeaseHolder
  expiresAt = Infinity
  heapIndex = -1

  constructor(token: LeaseToken, holder: LeaseHolder) {
    this.token = token
    this.holder = holder
  }
}

export class LeaseHolder {
  readonly nodeId: NodeId
  readonly leases = new Map<LeaseToken, LeaseEntry>()
  node: NodeEntry | undefined = undefined

  constructor(nodeId: NodeId) {
    this.nodeId = nodeId
  }
}

export interface Served {
  readonly index: ModelIndex
  readonly endpoints: ReadonlySet<Endpoint>
}

export class NodeEntry implements Expiring, IndexedNode {
  readonly holder: LeaseHolder
  presence: Omit<NodePresence, "leased">
  ready: boolean
  served: ReadonlyArray<Served> = []
  expiresAt = Infinity
  heapIndex = -1
  private seen: NodePresence | undefined = undefined

  constructor(presence: Omit<NodePresence, "leased">, holder: LeaseHolder) {
    this.presence = presence
    this.ready = isReady(presence)
    this.holder = holder
  }

  get leased(): number {
    return this.holder.leases.size
  }

  get hasFreeSlot(): boolean {
    return this.leased < this.presence.slots
  }

  get canTake(): boolean {
    return this.ready && this.hasFreeSlot
  }

  change(presence: Omit<NodePresence, "leased">): void {
    this.presence = presence
    this.ready = isReady(presence)
    this.seen = undefined
  }

  leasedMore(by: number): void {
    this.seen = undefined
    for (const { index } of this.served) index.leasedMore(this, by)
  }

  view(): NodePresence {
    this.seen ??= { ...this.presence, leased: this.leased }
    return this.seen
  }
}
