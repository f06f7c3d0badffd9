/** The hashes in a receipt and in a root: what makes them and what checks them use the same ones. Each has a tag of its own, so none stands for another. */
import type * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { canonicalJson } from "./CanonicalJson.ts"
import type { JobId } from "./Ids.ts"
import {
  type Digests,
  PART_NAMES,
  type PartName,
  RECEIPT_FORMAT,
  type ReceiptEvent,
  type ReceiptParts,
  type RootStatement
} from "./Receipt.ts"

const sha256 = (text: string): string => createHash("sha256").update(text, "utf8").digest("hex")

export const digestOf = (part: PartName, value: Schema.Json): string =>
  sha256(`${RECEIPT_FORMAT}/${part}\n${canonicalJson(value)}`)

export const digestsOf = (parts: Required<ReceiptParts>): Digests =>
  Object.fromEntries(PART_NAMES.map((name) => [name, digestOf(name, parts[name])])) as unknown as Digests

/** Of the whole receipt, also when a part of it was left out. */
export const receiptHash = (digests: Digests): string => sha256(`${RECEIPT_FORMAT}\n${canonicalJson(digests)}`)

/** What the network signs of a receipt. */
export const receiptBytes = (hash: string, keyId: string): Buffer =>
  Buffer.from(canonicalJson({ domain: RECEIPT_FORMAT, hash, keyId }), "utf8")

/** What the network signs of a root. */
export const rootBytes = (statement: RootStatement, keyId: string): Buffer =>
  Buffer.from(canonicalJson({ keyId, statement }), "utf8")

/** What the next root calls this one. */
export const rootHash = (statement: RootStatement): string => sha256(canonicalJson(statement))

export const FIRST_ROOT = "0".repeat(64)

/** Before the first event: a chain belongs to its job. */
export const chainStart = (jobId: JobId): string => sha256(`resultity/events/v1\n${jobId}`)

export const chainLink = (previous: string, { hash: _hash, ...event }: ReceiptEvent): string =>
  sha256(`${previous}\n${canonicalJson(event)}`)

export const saltHash = (salt: string): string => sha256(`resultity/salt/v1\n${salt}`)

/** The name of a network's key: the first 8 bytes of its hash. */
export const keyIdOf = (publicKeyHex: string): string =>
  `nk_${sha256(`resultity/key/v1\n${publicKeyHex}`).slice(0, 16)}`
