/**
 * The file of an export. It grows as `FILE.part` and gets its name when it is whole, so a file of that name is never half of something. What broke off is
 * taken up behind its last whole row.
 */
import { existsSync } from "node:fs"
import { type FileHandle, open, rename, rm } from "node:fs/promises"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { CliFailed, EXIT } from "../CliFailed.ts"
import * as RowScan from "./RowScan.ts"

export interface ExportFile {
  readonly path: string
  /** What it grows as. */
  readonly part: string
  /** Of the last whole row that is there; null: it begins. */
  readonly after: string | null
  /** Rows that were there already. */
  readonly before: number
  readonly append: (bytes: Uint8Array) => Effect.Effect<void, CliFailed>
  /** On disk, under its name. */
  readonly finish: Effect.Effect<void, CliFailed>
}

const READ_BYTES = 1 << 20

const failed = (message: string) => new CliFailed({ code: "cannot_write", message, exit: EXIT.failed })

/** There is something in the way. */
const taken = (message: string) => new CliFailed({ code: "conflict", message, exit: EXIT.conflict })

const attempt = <A>(path: string, run: () => Promise<A>): Effect.Effect<A, CliFailed> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => failed(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`)
  })

/** null: the file is there, whole. */
export const openFile = Effect.fnUntraced(function* (
  path: string,
  format: RowScan.Format,
  isResumed: boolean
): Effect.fn.Return<ExportFile | null, CliFailed, Scope.Scope> {
  const part = `${path}.part`
  if (existsSync(path)) {
    if (isResumed) return null
    return yield* taken(`${path} is there already. Remove it, or name another file.`)
  }
  if (existsSync(part) && !isResumed) {
    return yield* taken(`${part} is there from an export that broke off. Go on with --resume, or remove it.`)
  }
  const handle = yield* Effect.acquireRelease(
    attempt(part, () => open(part, "a+", 0o600)),
    // What broke off before anything came leaves nothing that would stand in the way.
    (handle) => Effect.ignore(attempt(part, () => closing(handle, part)))
  )
  const { after, before } = yield* attempt(part, () => takeUp(handle, format))
  return {
    path,
    part,
    after,
    before,
    append: (bytes) => attempt(part, () => handle.appendFile(bytes)),
    finish: attempt(part, async () => {
      await handle.sync()
      await rename(part, path)
    })
  }
})

const closing = async (handle: FileHandle, part: string): Promise<void> => {
  const { size } = await handle.stat()
  await handle.close()
  if (size === 0) await rm(part, { force: true })
}

/** Cuts off what is no whole row. A file that has a header only begins anew. */
const takeUp = async (handle: FileHandle, format: RowScan.Format) => {
  const scan = RowScan.make(format)
  const buffer = Buffer.alloc(READ_BYTES)
  for (let at = 0; ;) {
    const { bytesRead } = await handle.read(buffer, 0, READ_BYTES, at)
    if (bytesRead === 0) break
    scan.push(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
  const { from, to } = scan.last()
  const row = Buffer.alloc(to - from)
  await handle.read(row, 0, row.length, from)
  const after = RowScan.cursorIn(format, row.toString("utf8"))
  await handle.truncate(after === null ? 0 : to)
  return { after, before: after === null ? 0 : scan.rows() - (format === "csv" ? 1 : 0) }
}
