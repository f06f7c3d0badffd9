/** Commands as they are printed in a document, and the surroundings in which they run as they stand: only the addresses lead elsewhere, because the ports of the text may be taken. */
import { readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"
import { ROOT, run, temporaryFolder } from "./Process.ts"

/** The blocks of a shell in a document, in order. */
export const commandsIn = (path: string): ReadonlyArray<string> =>
  [...readFileSync(join(ROOT, path), "utf8").matchAll(/```sh\n([^]*?)```/g)].map(([, text = ""]) => text)

/** Where the commands run: what a clone has, and a daemon's data. */
export const aClone = (): string => {
  const folder = temporaryFolder()
  for (const name of ["node_modules", "package.json", "bin", "src"]) symlinkSync(join(ROOT, name), join(folder, name))
  return folder
}

/** @param addresses as they are printed, and where they lead */
export const surroundings = (folder: string, addresses: ReadonlyArray<readonly [from: string, to: string]>) => {
  writeFileSync(join(folder, ".curlrc"), addresses.map(([from, to]) => `connect-to = "${from}:${to}"\n`).join(""))
  return {
    PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}`,
    CURL_HOME: folder,
    NODE_OPTIONS: `--import ${join(ROOT, "test/support/redirect.js")}`,
    REDIRECTS: addresses.map(([from, to]) => `${from}=${to}`).join(",")
  }
}

/** A block as a person would run it, who stops at the first failure. */
export const runBlock = (block: string, folder: string, env: Record<string, string>) =>
  run(block.split("\n")[0] ?? "", ["-e", "-o", "pipefail", "-c", block], {
    command: "bash",
    cwd: folder,
    env,
    group: true
  })
