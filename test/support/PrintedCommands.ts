/**
 * Commands as a document prints them, to be run as they stand there, in one folder that has what a clone has. Only the addresses lead elsewhere, because
 * the ports of the text may be taken.
 */
import { readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"
import { ROOT, run, temporaryFolder } from "./Process.ts"

/** The blocks of shell commands of a document, in its order. */
export const blocksOf = (document: string): ReadonlyArray<string> =>
  [...readFileSync(join(ROOT, document), "utf8").matchAll(/```sh\n([^]*?)```/g)].map(([, text = ""]) => text)

/** Where the commands run: what a clone has, and a daemon's data. */
export const aClone = (): string => {
  const folder = temporaryFolder()
  for (const name of ["node_modules", "package.json", "bin", "src"]) symlinkSync(join(ROOT, name), join(folder, name))
  return folder
}

const hostOf = (url: string) => new URL(url).host

/** What makes curl and our own commands go to these URLs instead of the hosts of the text. */
export const leading = (
  folder: string,
  ways: ReadonlyArray<readonly [host: string, url: string]>
): Readonly<Record<string, string>> => {
  const addresses = ways.map(([from, url]) => [from, hostOf(url)] as const)
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
