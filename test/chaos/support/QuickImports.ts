/** Imported before anything else by who runs many schedules: what signs and verifies is given the quick curve and the quick keys. */
import { registerHooks } from "node:module"

const CURVE = new URL("./QuickCurve.ts", import.meta.url).href
const CRYPTO = new URL("./QuickCrypto.ts", import.meta.url).href
/** The two files that know session keys. */
const SIGNERS = ["/src/layers/Signatures.ts", "/src/agent/SessionKey.ts"]

const quick = (specifier: string, parent: string): string | null => {
  if (specifier === "@noble/curves/secp256k1.js") return parent === CURVE ? null : CURVE
  if (specifier === "node:crypto" && SIGNERS.some((file) => parent.endsWith(file))) return CRYPTO
  return null
}

registerHooks({
  resolve: (specifier, context, next) => {
    const url = quick(specifier, context.parentURL ?? "")
    return url === null ? next(specifier, context) : { url, shortCircuit: true }
  }
})
