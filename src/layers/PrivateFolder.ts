/**
 * Makes a folder that only its owner may look into, with those on the way to it. Level by level: Node's own recursive way never comes back where a
 * file system knows a folder and lets nobody make another one in it, as /proc and folders that are mounted on demand do.
 */
import { mkdir, stat } from "node:fs/promises"
import { dirname, resolve } from "node:path"

/** The topmost folder that was made, absolute; null when all were there. Rejects with what the system says (`ENOENT`, `EACCES`, `ENOTDIR`, …). */
export const makePrivateFolder = async (folder: string): Promise<string | null> => {
  const path = resolve(folder)
  try {
    return await make(path)
  } catch (cause) {
    const parent = dirname(path)
    if (codeOf(cause) !== "ENOENT" || parent === path) throw cause
    const topmost = await makePrivateFolder(parent)
    const made = await make(path)
    return topmost ?? made
  }
}

/** Null: it is there. */
const make = async (path: string): Promise<string | null> => {
  try {
    await mkdir(path, { mode: 0o700 })
    return path
  } catch (cause) {
    if (codeOf(cause) === "EEXIST" && (await stat(path)).isDirectory()) return null
    throw cause
  }
}

const codeOf = (cause: unknown) => (cause instanceof Error && "code" in cause ? cause.code : undefined)
