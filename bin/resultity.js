#!/usr/bin/env node
// The command on PATH. Runs the sources with the Node that comes as a dependency when the one that was found is too old for them.
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const NODE_MAJOR_MIN = 24
const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const ENTRIES = { daemon: "src/main.ts", node: "src/agent/main.ts", doctor: "src/Doctor.ts" }

const [command, ...rest] = process.argv.slice(2)
const entry = join(root, ENTRIES[command] ?? "src/cli/main.ts")
const args = command in ENTRIES ? rest : process.argv.slice(2)

/** The bundled Node, or undefined when its install script did not run. */
const bundledNode = () => {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve("node/package.json"))
    const path = join(folder, "bin", "node")
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}

if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN) {
  process.argv.splice(1, process.argv.length, entry, ...args)
  await import(entry)
} else {
  const node = bundledNode()
  if (node === undefined) {
    process.stderr.write(
      `resultity: needs Node ${NODE_MAJOR_MIN} or newer, this is ${process.version}. Run npm ci without --ignore-scripts, or install a newer Node.\n`
    )
    process.exit(1)
  }
  const child = spawn(node, [entry, ...args], { stdio: "inherit" })
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal))
  child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)))
}
