/** `archive … --from`: an archive folder read, checked and copied by the command alone; nothing listens anywhere in these tests. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { NewSegment } from "../../../src/layers/Archive.ts"
import { bin } from "../Bin.ts"
import { call } from "../FakeControl.ts"
import {
  aSegment,
  blobOf,
  everythingIn,
  FINISHED,
  flip,
  folderOf,
  freshFolder,
  jobOf,
  manifestOf,
  rewriteManifest,
  textOf
} from "./Places.ts"

const archive = (...words: ReadonlyArray<string>) => call(["archive", ...words])
const sorted = (...segments: ReadonlyArray<NewSegment>) => segments.toSorted((a, b) => (a.id < b.id ? -1 : 1))

describe("archive list --from", () => {
  it.live("shows every manifest, and with --json the document that a daemon would give", () =>
    Effect.gen(function* () {
      const [first, second] = sorted(aSegment(2), aSegment(3)) as [NewSegment, NewSegment]
      const root = yield* folderOf(first, second)
      const { exit, out, err } = yield* archive("list", "--from", root)
      assert.deepStrictEqual([exit, err], [0, ""])
      const [titles = "", ...rows] = out.trimEnd().split("\n")
      assert.match(titles, /^SEGMENT +CLASS +NAMESPACE +LINES +BYTES +FROM +TO +WRITTEN +VERSION$/)
      assert.deepStrictEqual(
        rows.map((row) => [row.split(/ +/)[0], row.split(/ +/)[3], row.split(/ +/).at(-1)]),
        [
          [first.id, "2", "1"],
          [second.id, "3", "1"]
        ]
      )
      const { data } = JSON.parse((yield* archive("list", "--from", root, "--json")).out)
      assert.deepInclude(data[1], { id: second.id, count: 3, from: FINISHED, to: FINISHED + 2, recordVersion: 1 })
      assert.match((yield* archive("list", "--from", `${root}/`)).out, new RegExp(second.id))
    })
  )

  it.live("shows more than one page in one table and one document", () =>
    Effect.gen(function* () {
      const root = yield* folderOf(...Array.from({ length: 120 }, () => aSegment(1)))
      const { out } = yield* archive("list", "--from", root)
      const lines = out.trimEnd().split("\n")
      assert.lengthOf(lines, 121)
      assert.lengthOf([...new Set(lines.map(({ length }) => length))], 1)
      assert.lengthOf(JSON.parse((yield* archive("list", "--from", root, "--json")).out).data, 120)
    })
  )

  it.live("goes on past a manifest that is broken, names it on stderr and exits with 1", () =>
    Effect.gen(function* () {
      const [good, bad] = [aSegment(), aSegment()]
      const root = yield* folderOf(good, bad)
      flip(manifestOf(root, bad), 30)
      const { exit, out, err } = yield* archive("list", "--from", root, "--json")
      assert.strictEqual(exit, 1)
      assert.deepStrictEqual(
        JSON.parse(out).data.map(({ id }: { id: string }) => id),
        [good.id]
      )
      assert.match(err, new RegExp(`^${bad.id} has .*manifest.*\nbroken: 1 of 2 segments .*\n$`))
    })
  )

  it.live("says that there is nothing, in an empty archive", () =>
    Effect.gen(function* () {
      const root = freshFolder()
      mkdirSync(join(root, "segments"), { recursive: true })
      for (const word of ["list", "verify"]) {
        assert.deepStrictEqual(yield* archive(word, "--from", root), {
          exit: 0,
          out: "Nothing is archived.\n",
          err: ""
        })
      }
    })
  )
})

describe("archive verify --from", () => {
  it.live("is content with whole segments, and names each that is not and what is wrong", () =>
    Effect.gen(function* () {
      const segments = Array.from({ length: 9 }, () => aSegment())
      const root = yield* folderOf(...segments)
      const whole = yield* archive("verify", "--from", root)
      assert.deepStrictEqual([whole.exit, whole.err], [0, ""])
      assert.match(whole.out, /^9 segments are whole: 18 lines, [\d.]+ kB\.\n$/)

      const [cut, gone, orphan, count, span, foreign, named] = segments as [NewSegment, ...Array<NewSegment>]
      writeFileSync(blobOf(root, cut), "short")
      rmSync(blobOf(root, gone!))
      rmSync(manifestOf(root, orphan!))
      rewriteManifest(manifestOf(root, count!), (fields) => ({ ...fields, count: 3 }))
      rewriteManifest(manifestOf(root, span!), (fields) => ({ ...fields, to: FINISHED + 7 }))
      rewriteManifest(manifestOf(root, foreign!), (fields) => ({ ...fields, namespaceId: "ns_other" }))
      rewriteManifest(manifestOf(root, named!), (fields) => ({ ...fields, id: cut.id }))
      const { exit, out, err } = yield* archive("verify", "--from", root)
      assert.strictEqual(exit, 1)
      assert.match(err, /^broken: 7 of 9 segments are not whole.*\n$/)
      const said = new Map(
        out
          .split("\n")
          .filter((line) => line.startsWith("seg_"))
          .map((line) => [line.slice(0, 36), line.slice(37)])
      )
      assert.strictEqual(said.size, 7)
      assert.match(said.get(cut.id)!, /^hashes to \w+, not \w+ and has 5 bytes, not \d+$/)
      assert.strictEqual(said.get(gone!.id), "has no file")
      assert.strictEqual(said.get(orphan!.id), "has no manifest")
      assert.strictEqual(said.get(count!.id), "holds 2 lines, not 3")
      assert.match(said.get(span!.id)!, /^spans 2023-\S+ to 2023-\S+, not 2023-/)
      assert.strictEqual(said.get(foreign!.id), "has a line 1 of another namespace")
      assert.strictEqual(said.get(named!.id), `has the manifest of ${cut.id}`)
      assert.match(out, /\n2 segments are whole: 4 lines, .*\n$/)

      const document = JSON.parse((yield* archive("verify", "--from", root, "--json")).out)
      assert.deepInclude(document, { segments: 2, lines: 4 })
      assert.lengthOf(document.broken, 7)
      const one = yield* archive("verify", segments[8]!.id, "--from", root)
      assert.deepStrictEqual([one.exit, one.err], [0, ""])
      assert.match(one.out, /^1 segment is whole: 2 lines/)
    })
  )

  it.live("names the line and the field that is no job's, and never what stands there", () =>
    Effect.gen(function* () {
      const good = aSegment().lines
      const bent = (change: (line: { readonly record: object }) => unknown) =>
        JSON.stringify(change(JSON.parse(good[1]!)))
      const cases: ReadonlyArray<readonly [line: string, says: RegExp]> = [
        ["{", /has a line 2 that is no JSON$/],
        ["7", /has a line 2 whose whole is not what a job of version 2 has$/],
        [
          bent(({ record, ...line }) => ({ ...line, record: { ...record, cost: "a secret" } })),
          /line 2 whose record.cost/
        ],
        [bent((line) => ({ ...line, traces: [{ seq: 0 }] })), /line 2 whose traces\.0\./],
        [
          bent(({ record, ...line }) => ({ ...line, record: { ...record, finishedAt: null } })),
          /2 of a job that has not/
        ],
        [good[0]!, /line 2 with a job that it holds already$/],
        [bent(({ record, ...line }) => ({ ...line, record: { ...record, version: 9 } })), /2 of record version 9, and/]
      ]
      for (const [line, says] of cases) {
        const segment = aSegment()
        const { namespaceId } = (JSON.parse(good[0]!) as { record: { namespaceId: never } }).record
        const root = yield* folderOf({ ...segment, namespaceId, lines: [good[0]!, line] })
        const { exit, out } = yield* archive("verify", "--from", root)
        assert.strictEqual(exit, 1)
        assert.match(out.split("\n")[0]!, says)
        assert.notInclude(out, "secret")
      }
    })
  )

  it.live("refuses what a later program wrote, by its version, and so do cat and restore", () =>
    Effect.gen(function* () {
      const later = aSegment(2, { recordVersion: 3 })
      const root = yield* folderOf(later)
      const says = `${later.id} is of record version 3, and this program knows them up to 2: use a newer one`
      const verified = yield* archive("verify", "--from", root)
      assert.strictEqual(verified.exit, 1)
      assert.include(verified.out, `${says}\n`)
      assert.deepStrictEqual(yield* archive("cat", later.id, "--from", root), {
        exit: 1,
        out: "",
        err: `broken: ${says}.\n`
      })
      const into = freshFolder()
      const restored = yield* archive("restore", "--from", root, "--into", into)
      assert.strictEqual(restored.exit, 1)
      assert.include(restored.out, says)
    })
  )
})

describe("archive cat --from", () => {
  it.live("gives one segment, all of them, or the line of one job", () =>
    Effect.gen(function* () {
      const [first, second] = [aSegment(3), aSegment(2)]
      const root = yield* folderOf(first, second)
      const all = yield* archive("cat", "--all", "--from", root)
      assert.deepStrictEqual(all, { exit: 0, out: textOf(first, second), err: "" })
      assert.strictEqual((yield* archive("cat", first.id, "--from", root)).out, textOf(first))
      assert.strictEqual((yield* archive("cat", "--all", "--from", root, "--json")).out, all.out)
      for (const line of [first.lines[1]!, second.lines[1]!]) {
        const found = yield* archive("cat", "--all", "--job", jobOf(line), "--from", root)
        assert.deepStrictEqual(found, { exit: 0, out: `${line}\n`, err: "" })
        assert.strictEqual((yield* archive("cat", "--job", jobOf(line), "--from", root)).out, `${line}\n`)
      }
      const none = yield* archive("cat", "--job", "job_nobody", "--from", root)
      assert.deepStrictEqual([none.exit, none.out], [4, ""])
      assert.match(none.err, /^not_found: job_nobody is in none of 2 segments of /)
    })
  )

  it.live("leaves out what is broken, shows the rest and exits with 1", () =>
    Effect.gen(function* () {
      const [good, bad] = [aSegment(), aSegment()]
      const root = yield* folderOf(good, bad)
      flip(blobOf(root, bad), 40)
      const { exit, out, err } = yield* archive("cat", "--all", "--from", root)
      assert.deepStrictEqual([exit, out], [1, textOf(good)])
      assert.match(err, new RegExp(`^${bad.id} hashes to .*\nbroken: 1 of 2 segments`))
      const alone = yield* archive("cat", bad.id, "--from", root)
      assert.deepStrictEqual([alone.exit, alone.out], [1, ""])
      assert.match(alone.err, new RegExp(`^broken: ${bad.id} hashes to .*\n$`))
      const lost = yield* archive("cat", "--job", jobOf(bad.lines[0]!), "--from", root)
      assert.deepStrictEqual([lost.exit, lost.out], [1, ""])
    })
  )
})

describe("archive restore", () => {
  it.live("makes the same archive elsewhere, byte by byte, and changes nothing the second time", () =>
    Effect.gen(function* () {
      const segments = [aSegment(3), aSegment(2)]
      const from = yield* folderOf(...segments)
      const into = join(freshFolder(), "new", "archive")
      const first = yield* archive("restore", "--from", from, "--into", into)
      assert.deepStrictEqual([first.exit, first.err], [0, ""])
      assert.match(first.out, /^2 segments restored: 5 lines, .* are whole in /)
      assert.deepStrictEqual(everythingIn(into), everythingIn(from))
      const second = yield* archive("restore", "--from", from, "--into", into, "--json")
      assert.deepInclude(JSON.parse(second.out), { broken: [], restored: 0, present: 2, lines: 5 })
      assert.deepStrictEqual(everythingIn(into), everythingIn(from))
      assert.match((yield* archive("verify", "--from", into)).out, /^2 segments are whole: 5 lines/)
    })
  )

  it.live("heals what is broken there, adds only what was named, and copies nothing broken", () =>
    Effect.gen(function* () {
      const [one, two, bad] = [aSegment(), aSegment(), aSegment()]
      const from = yield* folderOf(one, two, bad)
      const into = yield* folderOf(one)
      flip(blobOf(into, one), 20)
      flip(blobOf(from, bad), 20)
      const named = yield* archive("restore", one.id, "--from", from, "--into", into)
      assert.deepStrictEqual([named.exit, everythingIn(into).length], [0, 2])
      const all = yield* archive("restore", "--from", from, "--into", into)
      assert.strictEqual(all.exit, 1)
      assert.match(all.out, new RegExp(`^${bad.id} hashes to .*\n1 segment restored, 1 was there already`))
      assert.match((yield* archive("verify", "--from", into)).out, /^2 segments are whole/)
    })
  )

  it.live("leaves what is there whole with other lines, or by a later program", () =>
    Effect.gen(function* () {
      const segment = aSegment()
      const from = yield* folderOf(segment)
      const other = yield* folderOf({ ...aSegment(), id: segment.id })
      const later = yield* folderOf({ ...segment, recordVersion: 3 })
      for (const [into, says] of [
        [other, /already with other lines, and was left there as it is/],
        [later, /already, and there is of record version 3/]
      ] as const) {
        const before = everythingIn(into)
        const { exit, out } = yield* archive("restore", "--from", from, "--into", into)
        assert.strictEqual(exit, 1)
        assert.match(out, says)
        assert.deepStrictEqual(everythingIn(into), before)
      }
    })
  )
})

describe("a place that is none", () => {
  it.live("is one line that says what to do, and nothing is made", () =>
    Effect.gen(function* () {
      const root = yield* folderOf(aSegment())
      const data = freshFolder()
      mkdirSync(join(data, "archive", "segments"), { recursive: true })
      const file = blobOf(root, aSegment())
      writeFileSync(file, "")
      const cases: ReadonlyArray<readonly [from: string, exit: number, says: RegExp]> = [
        [freshFolder(), 4, /^not_found: --from: there is no folder /],
        [data, 1, /^no_archive: --from: .* holds no folder "segments"; is it \S+\/archive\?\n/],
        [join(root, "segments"), 1, /; name the one above\n/],
        [dirname(root), 1, /^no_archive: /],
        [file, 1, /; it is a file\n/],
        ["s3://", 2, /^usage: --from: s3:\/\/ needs the server's address: --s3-url \(S3_URL\)\n/],
        ["s3://?/x", 2, /--s3-url/]
      ]
      for (const [from, exit, says] of cases) {
        const printed = yield* archive("verify", "--from", from)
        assert.deepStrictEqual([printed.exit, printed.out], [exit, ""])
        assert.match(printed.err, says)
        assert.strictEqual(printed.err.indexOf("\n"), printed.err.length - 1)
      }
      const wrong = yield* archive("restore", "--from", root, "--into", data)
      assert.match(wrong.err, /^no_archive: --into: /)
      assert.match((yield* archive("restore", "--from", root, "--into", root)).err, /^usage: .* the same place\n/)
    })
  )

  it.live("names the keys that are missing, and says that a server is away", () =>
    Effect.gen(function* () {
      const words = ["list", "--from", "s3://cold/x", "--s3-url", "http://127.0.0.1:1"]
      const bare = yield* archive(...words)
      assert.strictEqual(bare.exit, 2)
      assert.match(bare.err, /^usage: --from: --s3-url needs --s3-access-key \(S3_ACCESS_KEY\)/)
      const env = { S3_ACCESS_KEY: "us", S3_SECRET_KEY: "nobody-reads-this" }
      const away = yield* call(["archive", ...words], env)
      assert.strictEqual(away.exit, 6)
      assert.match(away.err, /^unavailable: --from: the S3 server at http:\/\/127\.0\.0\.1:1 does not answer/)
      assert.notInclude(away.err, "nobody-reads-this")
    })
  )
})

describe("the process", () => {
  it.live(
    "verifies, restores and gives lines without anything that listens, whatever the variables say of a daemon",
    () =>
      Effect.gen(function* () {
        const segment = aSegment(4)
        const root = yield* folderOf(segment)
        const into = freshFolder()
        const env = { RESULTITY_CONTROL_URL: "no url", RESULTITY_CONTROL_KEY: "a key\n" }
        const ended = (...words: ReadonlyArray<string>) => Effect.promise(() => bin(["archive", ...words], env).ended)
        assert.strictEqual((yield* ended("verify", "--from", root)).code, 0)
        assert.strictEqual((yield* ended("restore", "--from", root, "--into", into)).code, 0)
        assert.deepStrictEqual(yield* ended("cat", segment.id, "--from", into), {
          code: 0,
          out: textOf(segment),
          err: ""
        })
        flip(blobOf(into, segment), 30)
        const { code, out } = yield* ended("verify", "--from", into)
        assert.strictEqual(code, 1)
        assert.match(out, new RegExp(`^${segment.id} hashes to `))
      })
  )

  it.live("ends without a complaint, when nobody reads the lines any more", () =>
    Effect.gen(function* () {
      const root = yield* folderOf(...Array.from({ length: 20 }, () => aSegment(200)))
      const child = bin(["archive", "cat", "--all", "--from", root])
      yield* Effect.promise(() => child.line("record"))
      child.process.stdout.destroy()
      const { code, err } = yield* Effect.promise(() => child.ended)
      assert.deepStrictEqual([code, err], [0, ""])
    })
  )
})
