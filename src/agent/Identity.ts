/**
 * Who a node is: a secp256k1 key whose EVM address is the node's id, kept in a file that only its owner may read.
 * The file is made once, whole or not at all, and never replaced: losing the key is losing the node.
 */
import { secp256k1 } from "@noble/curves/secp256k1.js"
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import { link, open, readFile, stat, unlink } from "node:fs/promises"
import { dirname } from "node:path"
import { makePrivateFolder } from "../layers/PrivateFolder.ts"
import { addressOf, handshakeDigest } from "../layers/Signatures.ts"
import type { HandshakeClaim } from "../schemas/AgentFrame.ts"
import type { NodeId } from "../schemas/Ids.ts"
import { AgentFailed } from "./AgentFailed.ts"

export interface Identity {
  readonly nodeId: NodeId
  /** EIP-191 over the canonical JSON of the claim: r ‖ s ‖ v in hex, low s. */
  readonly signHandshake: (claim: HandshakeClaim) => string
}

/** The identity of a 32 byte private key. Throws for a key that is zero or not below the curve's order. */
export const fromPrivateKey = (secretKey: Uint8Array): Identity => ({
  nodeId: addressOf(secp256k1.getPublicKey(secretKey, false)),
  signHandshake: (claim) => {
    const signed = secp256k1.sign(handshakeDigest(claim), secretKey, { prehash: false, format: "recovered" })
    // The library puts the recovery bit first and counts from 0; a wallet puts it last and counts from 27.
    return Buffer.from([...signed.subarray(1), (signed[0] ?? 0) + 27]).toString("hex")
  }
})

/** A fresh identity that is nowhere stored: simulated nodes and tests. */
export const ephemeral: Effect.Effect<Identity> = Effect.sync(() => fromPrivateKey(secp256k1.utils.randomSecretKey()))

/** The identity in this file; without the file one is made, in a folder only the owner may enter. */
export const fromFile = (path: string): Effect.Effect<Identity, AgentFailed> =>
  Effect.tryPromise({
    try: () => readOrCreate(path),
    catch: (cause) =>
      cause instanceof AgentFailed ? cause : unusable(`${path} cannot be used as key file: ${String(cause)}`)
  })

const readOrCreate = async (path: string): Promise<Identity> => {
  const known = await readKey(path)
  if (known !== null) return known
  await makePrivateFolder(dirname(path))
  await create(path)
  const made = await readKey(path)
  if (made === null) throw unusable(`${path} vanished while it was being created.`)
  return made
}

const readKey = async (path: string): Promise<Identity | null> => {
  const facts = await stat(path).catch(absent)
  if (facts === null) return null
  if (!facts.isFile()) throw unusable(`${path} is not a file.`)
  if ((facts.mode & 0o077) !== 0) {
    throw unusable(`The key file ${path} can be read by others. Run: chmod 600 ${path}`)
  }
  const match = /^(?:0x)?([0-9a-fA-F]{64})\s*$/.exec(await readFile(path, "utf8"))
  if (match === null) throw unusable(`${path} holds no private key: 64 hexadecimal digits are expected.`)
  const secretKey = Uint8Array.from(Buffer.from(match[1] ?? "", "hex"))
  if (!secp256k1.utils.isValidSecretKey(secretKey)) throw unusable(`${path} holds a number that is no private key.`)
  return fromPrivateKey(secretKey)
}

/** Written beside its place, synced, then linked into it: a link never replaces, so of two first starts one wins. */
const create = async (path: string): Promise<void> => {
  const draft = `${path}.${randomBytes(8).toString("hex")}`
  const file = await open(draft, "wx", 0o600)
  try {
    await file.writeFile(`0x${Buffer.from(secp256k1.utils.randomSecretKey()).toString("hex")}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await link(draft, path)
  } catch (cause) {
    if (codeOf(cause) !== "EEXIST") throw cause
  } finally {
    await unlink(draft)
  }
}

const absent = (cause: unknown): null => {
  if (codeOf(cause) === "ENOENT") return null
  throw cause
}

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

const unusable = (message: string): AgentFailed => new AgentFailed({ code: "identity", message })
