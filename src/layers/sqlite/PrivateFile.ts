/**
 * Creates a file that only its owner may read; SQLite gives its journals the mode of the file. An existing file is not even opened:
 * closing a descriptor drops every POSIX lock that this process holds on that file.
 */
import { closeSync, openSync } from "node:fs"

export const createPrivate = (path: string): void => {
  try {
    closeSync(openSync(path, "wx", 0o600))
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause
  }
}
