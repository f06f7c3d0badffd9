/** Whether the data folder can be written, by nobody else be read, and has room. */
import { mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import { failure, type Finding, judgeRoom, looked, ok, Unanswered, warning } from "../Diagnosis.ts"

const SUBJECT = "data folder"

export const diagnose = (folder: string): Effect.Effect<ReadonlyArray<Finding>> =>
  looked(
    SUBJECT,
    "Check --data (RESULTITY_DATA): the folder, or the one it will be made in, has to be there and be this user's.",
    Effect.try({ try: () => look(folder), catch: (cause) => new Unanswered({ cause }) })
  )

const look = (folder: string): ReadonlyArray<Finding> => {
  const mode = modeOf(folder)
  const where = mode === null ? dirname(join(folder, ".")) : folder
  const { bavail, blocks, bsize } = statfsSync(where)
  return [
    mode === null
      ? ok(SUBJECT, `${folder} is not there yet; the daemon makes it`)
      : (mode & 0o077) === 0
        ? ok(SUBJECT, `${folder} is this user's alone`)
        : warning(SUBJECT, `others of this machine may look into ${folder}`, `chmod 700 ${folder}`),
    writable(where),
    judgeRoom(SUBJECT, bavail * bsize, blocks * bsize)
  ]
}

const modeOf = (folder: string): number | null => statSync(folder, { throwIfNoEntry: false })?.mode ?? null

const writable = (folder: string): Finding => {
  try {
    const probe = mkdtempSync(join(folder, ".doctor-"))
    writeFileSync(join(probe, "probe"), "")
    rmSync(probe, { recursive: true })
    return ok(SUBJECT, `${folder} can be written`)
  } catch (cause) {
    return failure(SUBJECT, `${folder} cannot be written: ${String(cause)}`, `chown it to the user of the daemon.`)
  }
}
