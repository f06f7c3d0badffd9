/** What the doctor says of the database file: fresh, in use, left by a crash, damaged, of a newer program; and that no file comes or goes. */
import { chmodSync, copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, Layer } from "effect"
import { assert, describe, it } from "vitest"
import { migrations } from "../../../src/layers/sqlite/Migrations.ts"
import * as SqliteClient from "../../../src/layers/sqlite/SqliteClient.ts"
import { diagnose } from "../../../src/layers/sqlite/SqliteDiagnosis.ts"
import { complaints, examine } from "../../support/Findings.ts"
import { temporaryFolder } from "../../support/Process.ts"

/** While a daemon's client has it open. */
const whileOpen = <A>(path: string, use: () => Promise<A>): Promise<A> =>
  Effect.runPromise(Effect.scoped(Effect.andThen(Layer.build(SqliteClient.layer({ path })), Effect.promise(use))))

const aDatabase = async (): Promise<string> => {
  const path = join(temporaryFolder(), "resultity.db")
  await whileOpen(path, () => Promise.resolve())
  return path
}

const saidOf = async (path: string) => (await examine(diagnose({ path }))).map(({ level, said }) => `${level} ${said}`)

const folderOf = (path: string) => readdirSync(join(path, "..")).toSorted()

describe("the diagnosis of a database file", () => {
  it("complains of nothing when it is not there, and makes nothing", async () => {
    const path = join(temporaryFolder(), "resultity.db")
    assert.deepStrictEqual(await saidOf(path), ["good it is not there yet; the daemon makes it"])
    assert.deepStrictEqual(folderOf(path), [])
  })

  it("complains of nothing when it is sound, and neither makes nor changes a file", async () => {
    const path = await aDatabase()
    const [files, bytes] = [folderOf(path), readFileSync(path)]
    const said = await saidOf(path)
    assert.match(said[0] ?? "", /^good [\d.]+ KiB, sound$/)
    assert.strictEqual(said[1], `good it is at step ${migrations.length}, as this program has it`)
    assert.deepStrictEqual(folderOf(path), files)
    assert.isTrue(readFileSync(path).equals(bytes))
  })

  it("does not read it while a daemon uses it, and is not in the way of the next one", async () => {
    const path = await aDatabase()
    assert.deepStrictEqual(await whileOpen(path, () => saidOf(path)), ["good a daemon uses it, so it was not read"])
    await saidOf(path)
    await whileOpen(path, () => Promise.resolve())
  })

  it("reads also what a daemon that was killed had only in its log of writes", async () => {
    const [path, left] = [await aDatabase(), join(temporaryFolder(), "resultity.db")]
    await whileOpen(path, async () => {
      const db = new DatabaseSync(path)
      db.exec(`INSERT INTO migration VALUES (${migrations.length + 1}, 'of tomorrow', 0)`)
      for (const end of ["", "-wal"]) copyFileSync(`${path}${end}`, `${left}${end}`)
      db.close()
    })
    chmodSync(left, 0o600)
    assert.isTrue(existsSync(`${left}-wal`))
    assert.match((await saidOf(left))[1] ?? "", /^bad it is at step \d+, this program knows/)
  })

  it("says that it is damaged, or no database", async () => {
    const path = await aDatabase()
    const bytes = readFileSync(path)
    bytes.fill(0xa5, 4096 * 2, 4096 * 6)
    writeFileSync(path, bytes)
    for (const text of [null, "not a database".repeat(1000)]) {
      if (text !== null) writeFileSync(path, text)
      const findings = await examine(diagnose({ path }))
      assert.match(complaints(findings)[0] ?? "", /^bad database: it (is damaged|cannot be read)/)
      assert.match(findings[0]?.todo ?? "", /backup/)
    }
  })

  it("says that others may read it", async () => {
    const path = await aDatabase()
    chmodSync(path, 0o644)
    assert.match((await saidOf(path))[0] ?? "", /^warning .* may be read by other users/)
  })
})
