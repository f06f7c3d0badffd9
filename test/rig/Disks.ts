/** Small file systems in memory, one for each daemon's folder, which may be filled without harm to anybody else. Needs root. */
import { execFileSync } from "node:child_process"
import { mkdirSync } from "node:fs"

const SIZE = "96m"

/** false: not allowed here. */
export const mountDisk = (folder: string): boolean => {
  mkdirSync(folder, { recursive: true })
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE}`, "tmpfs", folder], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

export const unmountDisk = (folder: string): void => {
  try {
    execFileSync("umount", ["-l", folder], { stdio: "ignore" })
  } catch {
    // It was not mounted.
  }
}
