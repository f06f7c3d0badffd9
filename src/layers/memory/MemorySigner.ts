/** A key that ends with the process: what it signed can be checked ever after, by the public key beside the signature. */
import * as Layer from "effect/Layer"
import { freshKey, fromKey, Signer } from "../Signer.ts"

export const layer: Layer.Layer<Signer> = Layer.sync(Signer, () => fromKey(freshKey()))
