/**
 * The network's key in a private file of the data folder, made with the first start and never replaced: with another key nobody could tell that it is
 * still the same network. To change it on purpose, put another one in its place; the old public key stays known.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { randomBytes } from "node:crypto"
import { link, open, readFile, stat, unlink } from "node:fs/promises"
import { dirname } from "node:path"
import { NetworkKey, parse } from "../NetworkKey.ts"
import { makePrivateFolder } from "../PrivateFolder.ts"

export class NetworkKeyUnusable extends Data.TaggedError("NetworkKeyUnusable")<{ readonly message: string }> {}

const unusable = (message: string) => new NetworkKeyUnusable({ message })

export const layer = (path: string): Layer.Layer<NetworkKey, NetworkKeyUnusable> =>
  Layer.effect(
    NetworkKey,
    Effect.tryPromise({
      try: async () => (await read(path)) ?? (await create(path)),
      catch: (cause) =>
        cause instanceof NetworkKeyUnusable ? cause : unusable(`the network's key in ${path}: ${String(cause)}`)
    })
  )

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

const read = async (path: string): Promise<NetworkKey["Service"] | null> => {
  try {
    if (((await stat(path)).mode & 0o077) !== 0) {
      throw unusable(`the network's key in ${path} can be read by others. Run: chmod 600 ${path}`)
    }
    const key = parse(Redacted.make(await readFile(path, "utf8")))
    if (Result.isFailure(key)) throw unusable(`${path} holds no network key. ${key.failure}`)
    return key.success
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return null
    throw cause
  }
}

/** Written beside its place, synced, then linked into it: a link never replaces, so of two first starts one wins. */
const create = async (path: string): Promise<NetworkKey["Service"]> => {
  await makePrivateFolder(dirname(path))
  const draft = `${path}.${randomBytes(8).toString("hex")}`
  const file = await open(draft, "wx", 0o600)
  try {
    await file.writeFile(`${randomBytes(32).toString("hex")}\n`)
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
  const made = await read(path)
  if (made === null) throw unusable(`${path} vanished while it was being made`)
  return made
}
