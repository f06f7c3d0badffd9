/** Everything the house says about itself, fast first; stops at the first thing that is not true. */
import { spawnSync } from "node:child_process"

const FORMATTED = ["src", "test", "bench", "scripts", "bin"]

const steps: ReadonlyArray<readonly [name: string, command: string, ...args: ReadonlyArray<string>]> = [
  ["format", "oxfmt", "--check", ...FORMATTED],
  ["lint", "oxlint", "--deny-warnings", "."],
  ["types", "tsc", "-p", "."],
  ["effects", "effect-tsgo", "diagnostics", "--project", "tsconfig.json", "--strict"],
  ["imports", "node", "scripts/imports.ts"],
  ["tidy", "node", "scripts/tidy.ts"]
]

for (const [name, command, ...args] of steps) {
  const from = performance.now()
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" })
  const seconds = ((performance.now() - from) / 1000).toFixed(1)
  if (status !== 0) {
    process.stdout.write(`${stdout}${stderr}`)
    console.error(`check: ${name} failed after ${seconds} s`)
    process.exit(1)
  }
  console.log(`check: ${name} ok (${seconds} s)`)
}
