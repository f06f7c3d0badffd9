/** S7: every table, collection, family of keys and queue stands in docs/operations/retention.md with its rule, and nothing else does. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "vitest"
import { collectionsOf, FILES_BUCKET } from "../../src/layers/mongodb/Collections.ts"
import { INDEXES } from "../../src/layers/mongodb/Indexes.ts"
import { RabbitTopology } from "../../src/layers/rabbitmq/RabbitTopology.ts"
import { migrate } from "../../src/layers/sqlite/Migrations.ts"

const ROOT = join(import.meta.dirname, "../..")
const read = (path: string) => readFileSync(join(ROOT, path), "utf8")
const textsIn = (folder: string) =>
  readdirSync(join(ROOT, folder)).map((name) => (/\.(ts|lua)$/.test(name) ? read(`${folder}/${name}`) : ""))

/** Names by store, each once. */
const ruled = (() => {
  const rows = read("docs/operations/retention.md").matchAll(
    /^\| ((?:SQLite|MongoDB|PostgreSQL|Redis|RabbitMQ)[^|]*) \| ([^|]*) \| ([^|]+) \|$/gm
  )
  const found = new Map<string, Array<string>>()
  for (const [, where = "", names = "", rule = ""] of rows) {
    assert.isNotEmpty(rule.trim())
    for (const store of where.split(", ")) {
      found.set(store, [...(found.get(store) ?? []), ...[...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name!)])
    }
  }
  return (store: string) => (found.get(store) ?? []).toSorted()
})()

const unique = (names: Iterable<string>) => [...new Set(names)].toSorted()
const matches = (texts: ReadonlyArray<string>, pattern: RegExp) =>
  unique(texts.flatMap((text) => [...text.matchAll(pattern)].map(([, name]) => name!)))

describe("S7: a rule of retention stands for", () => {
  it("every table of the embedded store", () => {
    const db = new DatabaseSync(":memory:")
    migrate(db, 1)
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").all()
    assert.deepStrictEqual(ruled("SQLite"), unique(tables.map(({ name }) => String(name))))
  })

  it("every table of PostgreSQL", () => {
    const texts = [...textsIn("src/layers/postgres/migrations"), ...textsIn("src/layers/postgres")]
    assert.deepStrictEqual(
      ruled("PostgreSQL"),
      matches(texts, /CREATE TABLE (?:IF NOT EXISTS )?(?:\$\{\w+\}\.)?([a-z_]+)/g)
    )
  })

  it("every collection of MongoDB", () => {
    const names: Array<string> = []
    collectionsOf({ collection: (name: string) => names.push(name) } as never)
    assert.deepStrictEqual(ruled("MongoDB"), unique([...names, FILES_BUCKET]))
  })

  it("every family of keys of Redis", () => {
    const scripts = textsIn("src/layers/redis/scripts")
    const inScripts = [...matches(scripts, /key\('([a-z]+)'/g), ...matches(scripts, /P \.\. ':([a-z]+)/g)]
    const inCode = matches(textsIn("src/layers/redis"), /\$\{tag\}:([a-z]+):/g)
    assert.deepStrictEqual(ruled("Redis"), unique([...inScripts, ...inCode]))
  })

  it("every queue of RabbitMQ, by its exchange", () => {
    const { exchanges } = new RabbitTopology("x")
    assert.deepStrictEqual(ruled("RabbitMQ"), unique(exchanges.map(([name]) => name.slice("x.".length))))
  })
})

describe("S92: MongoDB forgets by itself", () => {
  it("only what carries `purgeAfter`, which stands on no document that is not pruned", () => {
    const forgetting = Object.entries(INDEXES).flatMap(([collection, indexes]) =>
      indexes.filter((index) => index.expireAfterSeconds !== undefined).map(({ key }) => [collection, key] as const)
    )
    assert.deepStrictEqual(forgetting, [["heads", { purgeAfter: 1 }]])
    // One statement sets it, in `prune`, which is called after verification.
    const setting = textsIn("src/layers/mongodb").filter((text) => /\$set: \{[^}]*purgeAfter/.test(text))
    assert.strictEqual(setting.length, 1)
    assert.match(setting[0]!, /const prune = async[\s\S]*purgeAfter[\s\S]*const expired/)
  })
})
