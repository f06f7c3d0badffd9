/** What the doctor says of folders, and that it leaves them as they were. */
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { diagnose } from "../../../src/layers/files/FolderDiagnosis.ts"
import { complaints, examine, findingOf } from "../../support/Findings.ts"
import { temporaryFolder } from "../../support/Process.ts"

/** What this test is not about: the disk that it runs on. */
const ofFolder = async (folder: string) => (await examine(diagnose({ folder }))).filter(({ what }) => what !== "disk")

describe("the diagnosis of a data folder", () => {
  it("complains of nothing when it is not there yet, and does not make it", async () => {
    const folder = join(temporaryFolder(), "a", "b")
    const findings = await ofFolder(folder)
    assert.deepStrictEqual(complaints(findings), [])
    assert.match(findingOf(findings, "folder").said, /not there yet/)
    assert.isFalse(existsSync(join(folder, "..")))
  })

  it("complains of nothing when it is its owner's alone, and leaves nothing in it", async () => {
    const folder = temporaryFolder()
    assert.deepStrictEqual(complaints(await ofFolder(folder)), [])
    assert.deepStrictEqual(readdirSync(folder), [])
  })

  it("says that others may look into it", async () => {
    const folder = join(temporaryFolder(), "open")
    mkdirSync(folder)
    chmodSync(folder, 0o755)
    const { level, said, todo } = findingOf(await ofFolder(folder), "folder")
    assert.strictEqual(level, "warning")
    assert.include(said, "mode 755")
    assert.include(todo ?? "", `chmod 700 ${folder}`)
  })

  it("says that it is a file, or lies in one", async () => {
    const file = join(temporaryFolder(), "file")
    writeFileSync(file, "")
    for (const folder of [file, join(file, "below")]) {
      assert.deepStrictEqual(
        (await ofFolder(folder)).map(({ what, level }) => `${level} ${what}`),
        ["bad reachable"]
      )
    }
  })

  it("tells the room on its disk", async () => {
    const findings = await examine(diagnose({ folder: temporaryFolder() }))
    assert.match(
      findings.find(({ what }) => what === "disk")?.said ?? "",
      /^[\d.]+ [KMGT]iB of [\d.]+ [KMGT]iB are free \(\d+ %\)$/
    )
  })
})
