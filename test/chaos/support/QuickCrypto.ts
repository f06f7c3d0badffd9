/**
 * `node:crypto` whose Ed25519 keys are numbers and whose signatures are hashes: what was made here is verified here, everything else by the real thing.
 * Only where sessions are signed and verified; see `QuickImports`.
 */
import { createHash, createPublicKey as readPublicKey, type KeyObject, verify as verifySlowly } from "node:crypto"

export * from "node:crypto"

/** DER of a public key up to its 32 raw bytes. */
const HEAD = Buffer.from("302a300506032b6570032100", "hex")

/** A public key is the hash of its number, so whoever verifies can tell that it was made here. */
const made = new Map<string, number>()
/** Far more than the sessions of one run. */
const MADE_MAX = 4096
let keys = 0

interface QuickKey {
  readonly hex: string
  readonly export: () => Buffer
}

const isQuick = (key: unknown): key is QuickKey => typeof key === "object" && key !== null && "hex" in key

const keyOf = (raw: Buffer): QuickKey => ({
  hex: raw.toString("hex"),
  export: () => Buffer.concat([HEAD, raw])
})

export const generateKeyPairSync = (): {
  readonly publicKey: QuickKey
  readonly privateKey: QuickKey
} => {
  keys += 1
  const key = keyOf(createHash("sha256").update(`quick ${keys}`).digest())
  if (made.size >= MADE_MAX) made.clear()
  made.set(key.hex, keys)
  return { publicKey: key, privateKey: key }
}

const signed = (hex: string, bytes: Uint8Array): Buffer => createHash("sha512").update(hex).update(bytes).digest()

export const sign = (_algorithm: null, bytes: Uint8Array, key: QuickKey): Buffer => signed(key.hex, bytes)

export const createPublicKey = (given: { readonly key: Buffer }): QuickKey | KeyObject => {
  const raw = given.key.subarray(-32)
  return made.has(raw.toString("hex")) ? keyOf(raw) : readPublicKey(given as never)
}

export const verify = (algorithm: null, bytes: Uint8Array, key: QuickKey | KeyObject, signature: Uint8Array): boolean =>
  isQuick(key) ? signed(key.hex, bytes).equals(signature) : verifySlowly(algorithm, bytes, key as KeyObject, signature)
