/** Examines a folder that daemons write to: who may look into it, whether it can be written, what room its disk has. Leaves it, and its absence, as it was. */
import { randomUUID } from "node:crypto"
import { open, rm, stat, statfs } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import * as Effect from "effect/Effect"
import { ask, bad, examined, type Finding, good, room, type Verdict, warning } from "../Diagnosis.ts"

export interface FolderDiagnosisOptions {
  readonly folder: string
}

const SERVER = "data folder"

interface Place {
  readonly folder: string
  /** The folder itself, or the nearest one on the way to it that is there. */
  readonly nearest: string
  readonly mode: number
}

const CHECK_FOLDER = "Check --data (RESULTITY_DATA): the folder, or the one that it will be made in, has to be there."

export const diagnose = ({ folder }: FolderDiagnosisOptions): Effect.Effect<ReadonlyArray<Finding>> =>
  examined(SERVER, { todo: CHECK_FOLDER, open: ask(() => find(resolve(folder))) }, (place) => [
    { what: "folder", todo: CHECK_FOLDER, verdict: Effect.sync(() => isThere(place)) },
    { what: "writable", todo: CHECK_FOLDER, verdict: writable(place) },
    { what: "disk", todo: CHECK_FOLDER, verdict: disk(place) }
  ])

const isMissing = (cause: unknown): boolean => cause instanceof Error && "code" in cause && cause.code === "ENOENT"

const find = async (folder: string): Promise<Place> => {
  for (let nearest = folder; ; nearest = dirname(nearest)) {
    try {
      const found = await stat(nearest)
      if (!found.isDirectory()) throw new Error(`${nearest} is no folder`)
      return { folder, nearest, mode: found.mode }
    } catch (cause) {
      if (!isMissing(cause) || dirname(nearest) === nearest) throw cause
    }
  }
}

const isThere = ({ folder, nearest, mode }: Place): Verdict => {
  if (folder !== nearest) return good(`${folder} is not there yet; the daemon makes it`)
  return (mode & 0o077) === 0
    ? good(`${folder}, for its owner alone`)
    : warning(
        `${folder} may be looked into by other users of this machine (mode ${(mode & 0o777).toString(8)})`,
        `chmod 700 ${folder}: it holds keys of nodes and texts of customers.`
      )
}

/** As a daemon would, to the disk. */
const writable = ({ nearest }: Place) =>
  ask(async () => {
    const path = join(nearest, `.doctor-${randomUUID()}`)
    const handle = await open(path, "wx", 0o600)
    try {
      await handle.writeFile("probe")
      await handle.sync()
    } finally {
      await handle.close()
      await rm(path, { force: true })
    }
    return good("a file comes and goes")
  }).pipe(
    Effect.catch(({ message }) =>
      Effect.succeed(
        bad(
          `${nearest} cannot be written: ${message}`,
          `Give it to the user that runs the daemon: chown USER ${nearest}.`
        )
      )
    )
  )

const INODES_MIN = 0.05

const disk = ({ nearest }: Place) =>
  ask(async (): Promise<ReadonlyArray<Verdict>> => {
    const { bavail, blocks, bsize, ffree, files } = await statfs(nearest)
    const few = files > 0 && ffree / files < INODES_MIN
    return [
      room(bavail * bsize, blocks * bsize),
      ...(few ? [warning(`${ffree} of ${files} inodes are free`, "Delete small files that nobody needs.")] : [])
    ]
  })
