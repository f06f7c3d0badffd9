/**
 * What one model has in one environment: who serves it, who could take a job for it at once, and the sums that clients ask
 * for. Kept up with each change, so that no question looks at every node.
 *
 * "Ready" nodes are active, healthy and unrestricted; only they are counted in `nodes`, `slots` and `leased`, and only they
 * stand in `free`, while they have a slot to give. A restricted node that stood there would crowd the ready ones out of a
 * bounded sample.
 */
import type { Endpoint } from "../../schemas/Job.ts"
import type { NodePresence } from "../../schemas/NodeProfile.ts"
import type { LiveModel } from "../LiveNodes.ts"
import { FreeSet } from "./FreeSet.ts"

const ENDPOINTS: ReadonlyArray<Endpoint> = ["chat", "completions", "embeddings"]

/** A node as its indexes see it. */
export interface IndexedNode {
  readonly presence: Omit<NodePresence, "leased">
  readonly leased: number
  readonly ready: boolean
  /** Ready, with a free slot. */
  readonly canTake: boolean
  view(): NodePresence
}

export const isReady = (presence: Omit<NodePresence, "leased">): boolean =>
  presence.lifecycle === "active" && presence.healthy && presence.restrictions.length === 0

export class ModelIndex {
  readonly name: string
  readonly free = new FreeSet<IndexedNode>()
  serving = 0
  private readonly endpoints = new Map<Endpoint, number>()
  private nodes = 0
  private slots = 0
  private leased = 0
  private seen: LiveModel | undefined = undefined

  constructor(name: string) {
    this.name = name
  }

  enter(node: IndexedNode, endpoints: Iterable<Endpoint>): void {
    this.serving++
    this.count(endpoints, 1)
    if (node.ready) this.add(1, node.presence.slots, node.leased)
    this.updateFree(node)
  }

  /** Counts back what the node was counted for: call it before the node changes. */
  leave(node: IndexedNode, endpoints: Iterable<Endpoint>): void {
    this.serving--
    this.count(endpoints, -1)
    if (node.ready) this.add(-1, -node.presence.slots, -node.leased)
    this.free.delete(node)
  }

  /** The node's leases have become `by` more. */
  leasedMore(node: IndexedNode, by: number): void {
    if (node.ready) this.add(0, 0, by)
    this.updateFree(node)
  }

  view(): LiveModel {
    this.seen ??= {
      name: this.name,
      endpoints: ENDPOINTS.filter((endpoint) => (this.endpoints.get(endpoint) ?? 0) > 0),
      nodes: this.nodes,
      slots: this.slots,
      leased: this.leased
    }
    return this.seen
  }

  private updateFree(node: IndexedNode): void {
    if (node.canTake) this.free.add(node)
    else this.free.delete(node)
  }

  private count(endpoints: Iterable<Endpoint>, by: number): void {
    for (const endpoint of endpoints) this.endpoints.set(endpoint, (this.endpoints.get(endpoint) ?? 0) + by)
    this.seen = undefined
  }

  private add(nodes: number, slots: number, leased: number): void {
    this.nodes += nodes
    this.slots += slots
    this.leased += leased
    this.seen = undefined
  }
}
