/** Folders that are made with those on the way to them, for their owner alone; and where none can be made, that is said at once. */
import { chmodSync, existsSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { makePrivateFolder } from "../../src/layers/PrivateFolder.ts"
import { temporaryFolder } from "../support/Process.ts"

const codeOf = (made: Promise<unknown>) =>
  made.then(
    () => null,
    (cause: NodeJS.ErrnoException) => cause.code
  )

describe("a private folder", () => {
  it("is made with those on the way to it, and the topmost new one is named", async () => {
    const home = temporaryFolder()
    assert.strictEqual(await makePrivateFolder(join(home, "a", "b", "c")), join(home, "a"))
    for (const path of ["a", "a/b", "a/b/c"]) assert.strictEqual(statSync(join(home, path)).mode & 0o777, 0o700)
    assert.strictEqual(await makePrivateFolder(join(home, "a", "b", "d", "e")), join(home, "a", "b", "d"))
  })

  it("stays as it is when it is there", async () => {
    const home = temporaryFolder()
    chmodSync(home, 0o750)
    assert.isNull(await makePrivateFolder(home))
    assert.strictEqual(statSync(home).mode & 0o777, 0o750)
  })

  it("is made by two at once", async () => {
    const folder = join(temporaryFolder(), "a", "b", "c")
    await Promise.all(Array.from({ length: 8 }, () => makePrivateFolder(folder)))
    assert.isTrue(existsSync(folder))
  })

  it("is refused where a file stands in the way", async () => {
    const file = join(temporaryFolder(), "file")
    writeFileSync(file, "")
    assert.strictEqual(await codeOf(makePrivateFolder(file)), "EEXIST")
    assert.strictEqual(await codeOf(makePrivateFolder(join(file, "below"))), "ENOTDIR")
  })

  it.runIf(existsSync("/proc/self"))("is refused where the file system takes none", async () => {
    assert.strictEqual(await codeOf(makePrivateFolder("/proc/nothing/below")), "ENOENT")
  })
})
