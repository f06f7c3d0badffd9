/** What this disk takes for a durable write, which stands under every durable figure: it differs a thousandfold between machines. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { median } from "./Line.ts"

const WRITES = 100
const BLOCK = Buffer.alloc(4096, 1)

/** Milliseconds of one append of 4 KiB with its fdatasync, in the folder where the daemons of the benchmarks have theirs. */
export const syncMs = (): number => {
  const folder = mkdtempSync(join(tmpdir(), "resultity-bench-"))
  const file = openSync(join(folder, "log"), "w")
  try {
    const each = Array.from({ length: WRITES }, () => {
      const from = performance.now()
      writeSync(file, BLOCK)
      fdatasyncSync(file)
      return performance.now() - from
    })
    return median(each)
  } finally {
    closeSync(file)
    rmSync(folder, { recursive: true, force: true })
  }
}
