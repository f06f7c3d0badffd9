/**
 * Merkle trees as RFC 6962 has them: leaves and nodes are hashed with a first byte of their own, so that neither passes for the other, and a tree of n
 * leaves is split at the largest power of two below n. Hashes are hexadecimal.
 */
import { createHash } from "node:crypto"

const sha256 = (...parts: ReadonlyArray<Uint8Array>): string => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest("hex")
}

const bytes = (hex: string): Buffer => Buffer.from(hex, "hex")
const LEAF = Buffer.of(0)
const NODE = Buffer.of(1)

export const leafHash = (dataHex: string): string => sha256(LEAF, bytes(dataHex))
export const nodeHash = (left: string, right: string): string => sha256(NODE, bytes(left), bytes(right))
/** Of no leaves. */
export const EMPTY_ROOT = sha256()

/** The largest power of two below n (n ≥ 2). */
const splitOf = (n: number): number => 2 ** Math.floor(Math.log2(n - 1))

/** Over hashes that are leaves or roots of equally large, full trees (the last one may be smaller). */
export const rootOver = (hashes: ReadonlyArray<string>): string => {
  const [first] = hashes
  if (first === undefined) return EMPTY_ROOT
  if (hashes.length === 1) return first
  const split = splitOf(hashes.length)
  return nodeHash(rootOver(hashes.slice(0, split)), rootOver(hashes.slice(split)))
}

/** The siblings of `index`, from it up to the root over `hashes`. */
export const pathIn = (hashes: ReadonlyArray<string>, index: number): ReadonlyArray<string> => {
  if (hashes.length <= 1) return []
  const split = splitOf(hashes.length)
  const [left, right] = [hashes.slice(0, split), hashes.slice(split)]
  return index < split ? [...pathIn(left, index), rootOver(right)] : [...pathIn(right, index - split), rootOver(left)]
}

/** The root that this path leads to; null when the path is none for that place (RFC 9162, 2.1.3.2). */
export const rootFrom = (leaf: string, index: number, size: number, path: ReadonlyArray<string>): string | null => {
  if (index < 0 || index >= size) return null
  let [at, last, root] = [index, size - 1, leaf]
  for (const sibling of path) {
    if (last === 0) return null
    if (at % 2 === 1 || at === last) {
      root = nodeHash(sibling, root)
      while (at % 2 === 0 && at !== 0) {
        at = Math.floor(at / 2)
        last = Math.floor(last / 2)
      }
    } else root = nodeHash(root, sibling)
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 ? root : null
}

/** Leaves of one block: a full subtree, so that a proof reads one block and the blocks' roots, however large the tree. */
export const BLOCK_LEAVES = 1024
