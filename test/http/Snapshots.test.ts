/** Snapshots over the control listener: begun and followed, listed, compared, handed out as a file, and each change in the audit. */
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { CarReader } from "@ipld/car/reader"
import { Archive } from "../../src/layers/Archive.ts"
import { Audit } from "../../src/layers/Audit.ts"
import { SnapshotHead } from "../../src/schemas/Snapshot.ts"
import { WorkView } from "../../src/schemas/Work.ts"
import { ask, makeWorld, World } from "./World.ts"

const control = (path: string, body?: object) =>
  Effect.flatMap(World, (world) =>
    ask(`${world.control}/control${path}`, {
      key: null,
      ...(body === undefined ? {} : { body: { reason: "so it is", ...body } })
    })
  )

/** What the work made, once it is over. */
const outcome = (path: string, body: object = {}) =>
  Effect.gen(function* () {
    const { status, body: answer } = yield* control(path, body)
    assert.strictEqual(status, 202)
    let { work } = answer as unknown as { work: WorkView }
    while (work.state === "running") {
      work = ((yield* control(`/works/${work.id}`)).body as unknown as { work: WorkView }).work
    }
    assert.isTrue(Schema.is(WorkView)(work))
    return work
  })

layer(makeWorld(), { excludeTestServices: true })("S13: snapshots over the control listener", (it) => {
  it.effect("are begun, followed, listed, and give themselves as a file", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* control("/snapshots")).body, { data: [] } as never)
      const made = yield* outcome("/snapshots")
      assert.deepInclude(made, { state: "done", kind: "snapshot.create", by: "operator/control" })
      assert.isTrue(Schema.is(SnapshotHead)(made.result))
      const again = yield* outcome("/snapshots", { full: true })
      const { data } = (yield* control("/snapshots?limit=1")).body as unknown as { data: ReadonlyArray<SnapshotHead> }
      assert.deepStrictEqual(data, [again.result] as never)
      assert.deepStrictEqual((yield* control("/snapshots/1")).body, { snapshot: made.result } as never)

      const { control: url } = yield* World
      const bytes = yield* Effect.promise(
        async () => new Uint8Array(await (await fetch(`${url}/control/snapshots/1/car`)).arrayBuffer())
      )
      const reader = yield* Effect.promise(() => CarReader.fromBytes(bytes))
      const [root] = yield* Effect.promise(() => reader.getRoots())
      assert.strictEqual(String(root), (made.result as unknown as SnapshotHead).sealed)
    })
  )

  it.effect("are compared, and D258: a change and its audit row stand in the next one", () =>
    Effect.gen(function* () {
      yield* outcome("/snapshots")
      yield* control("/namespaces", { name: "another", environment: "testnet" })
      const { result } = yield* outcome("/snapshots")
      const { number } = result as unknown as SnapshotHead
      const { body } = yield* control(`/snapshots/${number - 1}/diff/${number}?limit=50`)
      const { tables } = body as unknown as { tables: ReadonlyArray<{ table: string; added: number }> }
      const added = new Map(tables.map((one) => [one.table, one.added]))
      assert.strictEqual(added.get("namespace"), 1)
      assert.isAtLeast(added.get("audit") ?? 0, 1)
    })
  )

  it.effect("that are broken say which block, in the work's result and as a conflict", () =>
    Effect.gen(function* () {
      const { result } = yield* outcome("/snapshots", { full: true })
      const head = result as unknown as SnapshotHead
      const { blobs } = yield* Archive
      const name = (yield* blobs.names("blocks/")).find((one) => one.endsWith(head.state)) ?? ""
      const bytes = (yield* blobs.get(name))!
      bytes[9] = (bytes[9] ?? 0) ^ 1
      yield* blobs.put(name, bytes)
      const { result: check } = yield* outcome(`/snapshots/${head.number}/verify`)
      const { faults } = check as unknown as { faults: ReadonlyArray<{ block: string; table: string }> }
      assert.deepInclude(faults[0], { block: head.state, table: "state" })
      const conflict = yield* control(`/snapshots/${head.number}/diff/${head.number}`)
      assert.deepStrictEqual([conflict.status, conflict.body.error.code], [409, "conflict"])
      assert.include(conflict.body.error.message, head.state)
      yield* outcome("/snapshots", { full: true })
    })
  )

  it.effect("are let go but for the newest, after a dry run that says what would go", () =>
    Effect.gen(function* () {
      yield* outcome("/snapshots")
      const newest = (yield* outcome("/snapshots")).result as unknown as SnapshotHead
      const { data } = (yield* control("/snapshots")).body as unknown as { data: ReadonlyArray<SnapshotHead> }
      const would = yield* outcome("/snapshots/prune", { keep: 1, dryRun: true })
      assert.deepInclude(would.result, { dryRun: true, removed: data.length - 1, kept: 1, oldest: newest.number })
      assert.deepStrictEqual((yield* control("/snapshots")).body, { data } as never)
      const went = yield* outcome("/snapshots/prune", { keep: 1 })
      assert.deepStrictEqual(went.result, { ...(would.result as object), dryRun: false } as never)
      assert.deepStrictEqual((yield* control("/snapshots")).body, { data: [newest] } as never)
      const { result: check } = yield* outcome(`/snapshots/${newest.number}/verify`)
      assert.deepInclude(check, { faults: [] })
      for (const keep of [0, -1, 1.5, "1"])
        assert.strictEqual((yield* control("/snapshots/prune", { keep })).status, 400)
    })
  )

  it.effect("refuse what is not there and what makes no sense, and leave a row in the audit for each order", () =>
    Effect.gen(function* () {
      for (const path of ["/snapshots/99", "/snapshots/99/car", "/snapshots/1/diff/99"]) {
        const { status, body } = yield* control(path)
        assert.deepStrictEqual([status, body.error.code], [404, "not_found"], path)
      }
      for (const path of ["/snapshots/0", "/snapshots/x", "/snapshots?limit=0", "/snapshots?other=1"]) {
        assert.strictEqual((yield* control(path)).status, 400, path)
      }
      assert.strictEqual((yield* control("/snapshots/99/verify", {})).status, 404)
      assert.strictEqual((yield* control("/snapshots", { other: 1 })).status, 400)
      assert.strictEqual((yield* control("/works/work_x")).status, 404)
      const { id } = yield* outcome("/snapshots")
      assert.strictEqual((yield* control(`/works/${id}/cancel`, {})).status, 200)
      const rows = yield* (yield* Audit).list(0, 1000)
      const actions = new Set(rows.map(({ action }) => action))
      for (const action of ["snapshot.create", "snapshot.verify", "snapshot.prune", "work.cancel"])
        assert.isTrue(actions.has(action), action)
    })
  )
})
