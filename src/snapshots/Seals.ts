/** The signature of a snapshot: over the CID of its block, with a word before it, so that it is a signature of nothing else. */
import type { CID } from "multiformats/cid"
import { isSignedBy } from "../layers/Signatures.ts"
import type { Sealed } from "./Shapes.ts"

const DOMAIN = Buffer.from("resultity/snapshot\0")

export const sealedBytes = (root: CID): Uint8Array => Buffer.concat([DOMAIN, root.bytes])

export const signerOf = ({ seal }: Sealed): string => Buffer.from(seal.signer).toString("hex")

export const isSealed = (sealed: Sealed): boolean =>
  isSignedBy(signerOf(sealed), sealedBytes(sealed.snapshot), Buffer.from(sealed.seal.signature).toString("hex"))
