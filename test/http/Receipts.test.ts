/** Receipts over HTTP: a customer's own and nobody else's, the roots of hours, and the keys that anybody may ask for. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { CreditLedger } from "../../src/layers/CreditLedger.ts"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import { JobStore } from "../../src/layers/JobStore.ts"
import { NetworkKey } from "../../src/layers/NetworkKey.ts"
import { Receipts } from "../../src/layers/Receipts.ts"
import { checkReceipt } from "../../src/layers/ReceiptCheck.ts"
import type { Completeness } from "../../src/schemas/JobRecord.ts"
import { FIRST_ROOT, rootBytes } from "../../src/schemas/ReceiptHashes.ts"
import {
  aJob,
  anAdmission,
  aClaim,
  aFinish,
  aFinishedRecord,
  credits,
  livingDaemon,
  unique
} from "../support/factories.ts"
import { ask, makeWorld, World } from "./World.ts"

const AT = Date.UTC(2026, 5, 1, 10)
const nothing = { promptTokens: 0, outputTokens: 0 }

/** A job of the customer that ended, or that runs still. */
const aJobThat = Effect.fnUntraced(function* (how: "ended" | "runs", completeness?: typeof Completeness.Type) {
  const { namespace, place } = yield* World
  const [store, records] = [yield* JobStore, yield* JobRecords]
  const amount = credits(1_000_000)
  yield* (yield* CreditLedger).grant({ namespaceId: namespace.id, amount, reference: unique(), at: AT })
  const { row } = yield* store.admit(anAdmission(aJob({ namespaceId: namespace.id, acceptedAt: AT })))
  const claimed = yield* store.claim(aClaim(row, yield* livingDaemon(AT)))
  assert(claimed._tag === "Claimed")
  const { job } = row
  const charge = job.quote.perRequest
  if (how === "ended") yield* store.finish(aFinish(claimed.row, { at: AT + 5, usage: nothing, charge }))
  const over = { jobId: job.id, namespaceId: namespace.id, completeness: completeness ?? ("complete" as const) }
  yield* records.open(aFinishedRecord(AT + 5, { ...over, salt: "5a".repeat(32) }))
  place((yield* store.get(job.id))!)
  return job.id
})

const control = (path: string) => Effect.flatMap(World, (world) => ask(`${world.control}${path}`, { key: null }))

it.effect("A customer gets his receipt without the nodes and with the salt, an operator the other way round", () =>
  Effect.gen(function* () {
    const id = yield* aJobThat("ended")
    const mine = yield* ask(`/v1/jobs/${id}/receipt`)
    assert.strictEqual(mine.status, 200)
    const trusted = [(yield* NetworkKey).publicKey]
    const seen = checkReceipt(Buffer.from(mine.text), trusted)
    assert.deepStrictEqual(
      seen.findings.filter(({ holds }) => !holds),
      []
    )
    assert.notMatch(mine.text, /0x[0-9a-f]{40}|daemon_|ns_|key_/)
    assert.strictEqual(seen.receipt!.opening?.salt, "5a".repeat(32))
    const theirs = yield* control(`/control/jobs/${id}/receipt`)
    const operators = checkReceipt(Buffer.from(theirs.text), trusted)
    assert.isTrue(operators.findings.every(({ holds }) => holds))
    assert.match(theirs.text, /0x[0-9a-f]{40}/)
    assert.isUndefined(operators.receipt!.opening)
    assert.deepStrictEqual(operators.receipt!.network, seen.receipt!.network)
    const shown = (yield* control(`/control/jobs/${id}`)).text
    assert.notInclude(shown, "5a".repeat(32))
    assert.notMatch(shown, /"salt"|"receipt"/)
    assert.strictEqual((yield* ask(`/v1/jobs/${id}/receipt`)).text, mine.text)
    assert.deepInclude((yield* control(`/control/jobs/${id}/receipt/audit`)).body, {
      differs: [],
      event: null
    } as never)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Nobody gets another's receipt, one of a job that runs, or one whose record is being written", () =>
  Effect.gen(function* () {
    const { otherKey } = yield* World
    const id = yield* aJobThat("ended")
    const said = (answer: { status: number; body: { error: { code: string } } }) => [
      answer.status,
      answer.body.error.code
    ]
    assert.deepStrictEqual(said(yield* ask(`/v1/jobs/${id}/receipt`, { key: otherKey })), [404, "not_found"])
    assert.deepStrictEqual(said(yield* ask("/v1/jobs/job_0/receipt")), [404, "not_found"])
    assert.deepStrictEqual(said(yield* control("/control/jobs/job_0/receipt")), [404, "not_found"])
    const runs = yield* aJobThat("runs")
    assert.deepStrictEqual(said(yield* ask(`/v1/jobs/${runs}/receipt`)), [409, "conflict"])
    const open = yield* aJobThat("ended", "open")
    assert.deepStrictEqual(said(yield* ask(`/v1/jobs/${open}/receipt`)), [503, "unavailable"])
    yield* (yield* JobRecords).discard(id)
    assert.deepStrictEqual(said(yield* ask(`/v1/jobs/${id}/receipt`)), [410, "archived"])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Roots come in pages by number, and the network's keys to whoever asks", () =>
  Effect.gen(function* () {
    const receipts = yield* Receipts
    const key = yield* NetworkKey
    for (const number of [1, 2, 3]) {
      const statement = {
        domain: "resultity/root/v1",
        environment: "testnet",
        number,
        hour: AT + number * 3_600_000,
        size: 0,
        root: "00".repeat(32),
        previous: FIRST_ROOT
      } as const
      const network = key.sign((keyId) => rootBytes(statement, keyId))
      assert.isTrue(yield* receipts.close({ statement, network }, []))
    }
    const numbers = ({ text }: { text: string }) =>
      (JSON.parse(text).data as ReadonlyArray<{ statement: { number: number } }>).map(
        ({ statement }) => statement.number
      )
    assert.deepStrictEqual(numbers(yield* ask("/v1/roots")), [1, 2, 3])
    assert.deepStrictEqual(numbers(yield* ask("/v1/roots?after=1&limit=1")), [2])
    assert.deepStrictEqual(numbers(yield* control("/control/roots?after=2")), [3])
    assert.strictEqual((yield* ask("/v1/roots?limit=1001")).status, 400)
    assert.strictEqual((yield* ask("/v1/roots", { key: null })).status, 401)
    const open = yield* ask("/.well-known/resultity-keys.json", { key: null })
    assert.deepStrictEqual(JSON.parse(open.text).current, { id: key.id, public_key: key.publicKey })
    assert.strictEqual(JSON.parse(open.text).keys[0].public_key, key.publicKey)
    assert.strictEqual(JSON.parse((yield* control("/control/network-keys")).text).data.length, 1)
  }).pipe(Effect.provide(makeWorld()))
)
