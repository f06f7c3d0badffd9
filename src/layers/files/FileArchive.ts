/**
 * Segments as files under one folder, readable with `zcat` and nothing else. A blob is written beside its place, synced, then renamed into it:
 * a name holds all of its bytes or does not exist. What a crash left half written, one file at most, ends in `.part` and is never listed.
 */
import { randomUUID } from "node:crypto"
import { chmod, open, readdir, readFile, rename, rm } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Archive from "../Archive.ts"
import { makePrivateFolder } from "../PrivateFolder.ts"

export interface FileArchiveOptions {
  /** Made when it is missing, for its owner only. */
  readonly root: string
}

const PART = ".part"
/** Folders and a file of plain characters; no part begins with a dot, so no name leaves the root or meets a half-written file. */
const NAME = /^[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*)*$/

const isMissing = (cause: unknown): boolean => cause instanceof Error && "code" in cause && cause.code === "ENOENT"

const pathOf = (root: string, name: string): Effect.Effect<string> =>
  NAME.test(name) && !name.endsWith(PART)
    ? Effect.succeed(join(root, name))
    : Effect.die(new Error(`"${name}" is no name of a blob`))

/** A rename is durable once its folder is synced. */
const syncFolder = async (folder: string) => {
  const handle = await open(folder, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The folder, for its owner only, and every new one on the way durable in its parent. */
const ensureFolder = async (folder: string) => {
  const made = await makePrivateFolder(folder)
  if (made === null) return
  const top = dirname(made)
  for (let each = resolve(folder); each !== top; each = dirname(each)) await syncFolder(dirname(each))
}

const writeSynced = async (path: string, bytes: Uint8Array) => {
  const handle = await open(path, "wx", 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const writeWhole = async (path: string, bytes: Uint8Array) => {
  const folder = dirname(path)
  await ensureFolder(folder)
  const part = join(folder, `.${randomUUID()}${PART}`)
  try {
    await writeSynced(part, bytes)
    await rename(part, path)
  } catch (cause) {
    await rm(part, { force: true })
    throw cause
  }
  await syncFolder(folder)
}

const removeSynced = async (path: string) => {
  try {
    await rm(path)
  } catch (cause) {
    if (isMissing(cause)) return
    throw cause
  }
  await syncFolder(dirname(path))
}

const readOrNull = async (path: string): Promise<Uint8Array | null> => {
  try {
    return await readFile(path)
  } catch (cause) {
    if (isMissing(cause)) return null
    throw cause
  }
}

const filesIn = (folder: string) => readdir(folder, { recursive: true, withFileTypes: true })

/** Reads the folder that the prefix names and nothing beside it: there may be many blobs of another kind. */
const listNames = async (root: string, prefix: string): Promise<ReadonlyArray<string>> => {
  const folder = prefix.slice(0, prefix.lastIndexOf("/") + 1)
  const entries = await filesIn(join(root, folder)).catch((cause: unknown) => {
    if (folder === "" || !isMissing(cause)) throw cause
    // Nothing of that kind is there, which says nothing when the root is gone too.
    return readdir(root).then(() => [])
  })
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith(PART))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((name) => name.startsWith(prefix))
    .toSorted()
}

const attempt = <A>(during: string, run: () => Promise<A>) =>
  Effect.tryPromise({ try: run, catch: Archive.outage(during) })

export const driver = (root: string): Archive.Driver => ({
  put: (name, bytes) =>
    // Once begun it ends: an interruption would leave the half-written file behind.
    Effect.flatMap(pathOf(root, name), (path) => Effect.uninterruptible(attempt("put", () => writeWhole(path, bytes)))),
  get: (name) => Effect.flatMap(pathOf(root, name), (path) => attempt("get", () => readOrNull(path))),
  remove: (name) => Effect.flatMap(pathOf(root, name), (path) => attempt("remove", () => removeSynced(path))),
  names: (prefix) => attempt("names", () => listNames(root, prefix))
})

export const layer = (options: FileArchiveOptions) =>
  Layer.effect(
    Archive.Archive,
    Effect.gen(function* () {
      const root = resolve(options.root)
      yield* attempt("open", async () => {
        await ensureFolder(root)
        await chmod(root, 0o700)
      })
      return Archive.make(driver(root))
    })
  )
