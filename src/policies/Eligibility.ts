/**
 * Whether a node may serve a job, and if not, the first reason why: in the order of `Exclusion`, from what never changes to what changes
 * by the second, so that "no free slot" means that the node would do.
 *
 * Nothing here is a preference: a job of a subcloud waits rather than fall back to the global pool.
 */
import type { NodeId } from "../schemas/Ids.ts"
import { GLOBAL, type Job } from "../schemas/Job.ts"
import type { Exclusion, Gpu, NodePresence, RestrictionKind, ServedModel } from "../schemas/NodeProfile.ts"

export type JobNeeds = Pick<Job, "environment" | "endpoint" | "model" | "constraints">

export interface EligibilityContext {
  readonly now: number
  /** Silence after which a node is taken for gone. */
  readonly presenceMs: number
  /** Nodes that had this job. Leave them out of the set when there is nobody else. */
  readonly tried: ReadonlySet<NodeId>
  /** Text was sent already, and the node must go on from it. */
  readonly needsContinuation: boolean
  /** Configurations that a node may work under; null: any. */
  readonly digests: ReadonlySet<string> | null
}

/** Null: the node is eligible. */
export const exclusionOf = (needs: JobNeeds, node: NodePresence, context: EligibilityContext): Exclusion | null =>
  placeExclusion(needs, node) ??
  conditionExclusion(needs, node, context) ??
  abilityExclusion(needs, node) ??
  attemptExclusion(needs, node, context)

const placeExclusion = (needs: JobNeeds, node: NodePresence): Exclusion | null => {
  if (node.environment !== needs.environment) return "environment"
  if (!isInPool(node, needs.constraints.subcloud ?? GLOBAL)) return "subcloud"
  const { node: only } = needs.constraints
  return only === undefined || only === node.nodeId ? null : "other_node"
}

/** A job that is for this very node may show whether it is better by now; everybody else's are kept away from it. */
export const isHeldBack = (restrictions: ReadonlyArray<RestrictionKind>, isForIt: boolean): boolean =>
  restrictions.some((kind) => !(isForIt && kind === "quarantined"))

const isInPool = (node: NodePresence, pool: string): boolean =>
  pool === GLOBAL ? !node.isolated : node.subclouds.includes(pool)

const conditionExclusion = (
  { constraints }: JobNeeds,
  node: NodePresence,
  { now, presenceMs }: EligibilityContext
): Exclusion | null => {
  if (isHeldBack(node.restrictions, constraints.node === node.nodeId)) return "restricted"
  if (now - node.lastSeenAt > presenceMs) return "offline"
  if (node.lifecycle !== "active") return "not_active"
  return node.healthy ? null : "unhealthy"
}

const abilityExclusion = (needs: JobNeeds, node: NodePresence): Exclusion | null => {
  const served = servedModel(needs, node)
  if (served === undefined) return "model"
  if (!served.endpoints.includes(needs.endpoint)) return "endpoint"
  const { gpu, vramMinMiB, region } = needs.constraints
  const gpus = gpu === undefined ? node.gpus : node.gpus.filter((one) => isOfClass(one, gpu))
  if (gpu !== undefined && gpus.length === 0) return "gpu"
  // One GPU must have it: the memory of two is no place for a model that was not split for them.
  if (vramMinMiB !== undefined && vramMinMiB > 0 && !gpus.some((one) => one.vramMiB >= vramMinMiB)) return "vram"
  return region !== undefined && node.region !== region ? "region" : null
}

const attemptExclusion = (needs: JobNeeds, node: NodePresence, context: EligibilityContext): Exclusion | null => {
  if (context.digests !== null && !context.digests.has(node.digest)) return "digest"
  if (context.needsContinuation && servedModel(needs, node)?.canContinue !== true) return "no_continuation"
  if (context.tried.has(node.nodeId)) return "tried"
  return node.leased < node.slots ? null : "no_free_slot"
}

const servedModel = (needs: JobNeeds, node: NodePresence): ServedModel | undefined =>
  node.models.find(({ name }) => name === needs.model)

/** "RTX 4090" is of the class of "NVIDIA GeForce RTX 4090"; by whole words, so that "A10" is not an "A100". */
const isOfClass = (gpu: Gpu, wanted: string): boolean => ` ${words(gpu.name)} `.includes(` ${words(wanted)} `)

const words = (name: string): string =>
  name
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "")
    .join(" ")
