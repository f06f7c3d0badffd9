/** The installation's key as one file of the data folder, for its owner only; made at the first start, and never replaced. */
import { randomUUID } from "node:crypto"
import { link, mkdir, open, readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Outage } from "../Outage.ts"
import { freshKey, fromKey, fromPem, Signer, toPem } from "../Signer.ts"

const FILE = "network-key.pem"

export const layer = (folder: string): Layer.Layer<Signer, Outage> =>
  Layer.effect(
    Signer,
    Effect.tryPromise({
      try: async () => fromKey(fromPem(await ensure(folder))),
      catch: (cause) => new Outage({ of: "Signer", during: "open", cause })
    })
  )

/** Of several who make one at the same time, one wins: a link is made or is not. */
const ensure = async (folder: string): Promise<string> => {
  const path = join(folder, FILE)
  const known = await readOrNull(path)
  if (known !== null) return known
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const part = join(folder, `.${FILE}.${randomUUID()}`)
  const handle = await open(part, "wx", 0o600)
  try {
    await handle.writeFile(toPem(freshKey()))
    await handle.sync()
  } finally {
    await handle.close()
  }
  try {
    await link(part, path)
  } catch (cause) {
    if (!hasCode(cause, "EEXIST")) throw cause
  } finally {
    await rm(part, { force: true })
  }
  return readFile(path, "utf8")
}

const readOrNull = async (path: string): Promise<string | null> => {
  try {
    return await readFile(path, "utf8")
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return null
    throw cause
  }
}

const hasCode = (cause: unknown, code: string): boolean =>
  cause instanceof Error && "code" in cause && cause.code === code
