/**
 * What every Incidents must do: one incident an id, newest first, and a namespace sees those that name it; and of one type and subject one open episode,
 * whoever sees it at the same time.
 */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import { Incidents, type IncidentQuery } from "../../../src/layers/Incidents.ts"
import { EVIDENCE_MAX, type Incident, IncidentKind, isOpen } from "../../../src/schemas/Incident.ts"
import { anIncident, aSighting, freshNamespace, freshTime, only, operator } from "../../support/recordFactories.ts"

const Few = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
const Name = Schema.Literals(["slow_job", "abuse", "archive_broken"])
const Subject = Schema.Literals(["sweeper/retention", "node/\u0000\ud800"])
const Draft = Schema.Struct({ kind: IncidentKind, type: Name, subject: Subject, at: Few, namespace: Few })
const Asked = Schema.Struct({
  kind: Schema.optionalKey(IncidentKind),
  type: Schema.optionalKey(Name),
  subject: Schema.optionalKey(Subject),
  from: Schema.optionalKey(Few),
  to: Schema.optionalKey(Few),
  limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12 }))
})

export const incidentsContract = (backEnd: string, layer: Layer.Layer<Incidents, unknown>) =>
  it.layer(layer)(`Incidents on ${backEnd}`, (it) => {
    it.effect("keeps the first telling when one id is raised twice", () =>
      Effect.gen(function* () {
        const incidents = yield* Incidents
        const namespaceId = freshNamespace()
        const first = anIncident({ namespaceId, observed: { text: "a\u0000", list: [null] } })

        yield* incidents.raise([first, { ...first, severity: "high" }])
        yield* incidents.raise([{ ...first, at: first.at + 1 }])

        assert.deepStrictEqual(yield* incidents.list(only(namespaceId), { limit: 10 }), [first])
      })
    )

    it.effect("shows an incident to the namespace that it names and to operators only", () =>
      Effect.gen(function* () {
        const incidents = yield* Incidents
        const namespaceId = freshNamespace()
        const at = freshTime()
        const [named, unnamed] = [anIncident({ namespaceId, at }), anIncident({ at })]
        yield* incidents.raise([named, unnamed])

        const span = { from: at, to: at + 1, limit: 10 }
        assert.deepStrictEqual(yield* incidents.list(only(namespaceId), span), [named])
        assert.deepStrictEqual(yield* incidents.list(only(freshNamespace()), span), [])
        assert.deepStrictEqual(yield* incidents.list(operator, span), [unnamed, named])
      })
    )

    it.effect.prop(
      "answers any question as a look at every incident would",
      { drafts: Arbitrary.array(Arbitrary.schema(Draft), { maxLength: 16 }), asked: Asked },
      ({ drafts, asked }) =>
        Effect.gen(function* () {
          const incidents = yield* Incidents
          const at = freshTime()
          const namespaces = [null, freshNamespace(), freshNamespace(), freshNamespace()]
          const all = drafts.map((draft): Incident =>
            anIncident({ ...draft, at: at + draft.at, namespaceId: namespaces[draft.namespace] ?? null })
          )
          yield* incidents.raise(all)
          const { from, to, ...rest } = asked
          const query: IncidentQuery = { ...rest, from: at + (from ?? 0), to: at + (to ?? 10) }
          const fold = (mine: (incident: Incident) => boolean) =>
            all
              .filter(
                (incident) =>
                  mine(incident) &&
                  (query.kind === undefined || incident.kind === query.kind) &&
                  (query.type === undefined || incident.type === query.type) &&
                  (query.subject === undefined || incident.subject === query.subject) &&
                  incident.at >= query.from! &&
                  incident.at < query.to!
              )
              .toSorted((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1))
              .slice(0, query.limit)

          const ids = (list: ReadonlyArray<Incident>) => list.map(({ id }) => id)
          assert.deepStrictEqual(ids(yield* incidents.list(operator, query)), ids(fold(() => true)))
          for (const namespaceId of namespaces) {
            if (namespaceId === null) continue
            const mine = yield* incidents.list(only(namespaceId), query)
            assert.deepStrictEqual(ids(mine), ids(fold((incident) => incident.namespaceId === namespaceId)))
          }
        })
    )

    it.effect.prop(
      "gives them again in the order of time, page by page, each once, whatever stands at one instant",
      { ats: Arbitrary.array(Arbitrary.schema(Few), { maxLength: 12 }), page: Schema.Literals([1, 2, 5]) },
      ({ ats, page }) =>
        Effect.gen(function* () {
          const incidents = yield* Incidents
          const from = freshTime()
          const all = ats.map((at, n) =>
            anIncident({ at: from + at, namespaceId: n % 2 === 0 ? null : freshNamespace() })
          )
          yield* incidents.raise(all)
          for (const end of [from + 2, from + 10]) {
            const read: Array<Incident> = []
            while (true) {
              const last = read.at(-1)
              const place = last === undefined ? { at: from, id: "" } : { at: last.at, id: last.id }
              const next = yield* incidents.after("opened", place, end, page)
              read.push(...next)
              if (next.length < page) break
            }
            const expected = all.filter(({ at }) => at < end).toSorted((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
            assert.deepStrictEqual(read, expected)
          }
          assert.deepStrictEqual(yield* incidents.after("opened", { at: from, id: "" }, from + 10, 0), [])
        })
    )

    it.effect("S51: an episode is opened once, sighted again with bounded evidence, and closed once", () =>
      Effect.gen(function* () {
        const incidents = yield* Incidents
        const namespaceId = freshNamespace()
        const at = freshTime()
        const subject = `model/${namespaceId}\u0000`
        const sighting = (n: number) =>
          aSighting({ type: "error_spike", subject, namespaceId, at: at + n, observed: { n }, severity: "low" })
        assert.isNull(yield* incidents.close("error_spike", subject, at, "recovered"))

        const first = yield* incidents.sight(sighting(0))
        for (let n = 1; n <= 2 * EVIDENCE_MAX; n++) {
          const seen = yield* incidents.sight({ ...sighting(n), severity: n === 3 ? "high" : "info" })
          assert.strictEqual(seen.id, first.id)
        }
        const open = yield* incidents.list(operator, { open: true, subject, limit: 10 })
        assert.lengthOf(open, 1)
        assert.deepInclude(open[0], { id: first.id, at, severity: "high", observed: { n: 2 * EVIDENCE_MAX } })
        const { evidence, ...standing } = open[0]!.episode!
        assert.deepStrictEqual(standing, {
          number: 1,
          sightings: 2 * EVIDENCE_MAX + 1,
          seenAt: at + 2 * EVIDENCE_MAX,
          closedAt: null,
          closedFor: null
        })
        assert.lengthOf(evidence, EVIDENCE_MAX)
        assert.deepStrictEqual([evidence[0]!.at, evidence.at(-1)!.at], [at, at + 2 * EVIDENCE_MAX])
        assert.deepStrictEqual(yield* incidents.list(only(namespaceId), { open: true, limit: 10 }), open)

        const end = at + 1000
        const closed = yield* incidents.close("error_spike", subject, end, "recovered")
        if (closed === null) return assert.fail("nothing was open")
        assert.deepInclude(closed.episode, { closedAt: end, closedFor: "recovered" })
        assert.isNull(yield* incidents.close("error_spike", subject, end + 1, "quiet"))
        assert.deepStrictEqual(yield* incidents.list(operator, { open: true, subject, limit: 10 }), [])
        assert.deepStrictEqual(yield* incidents.list(only(namespaceId), { limit: 10 }), [closed])
        assert.deepStrictEqual(yield* incidents.after("closed", { at: end, id: "" }, end + 1, 10), [closed])
        assert.deepStrictEqual(yield* incidents.after("closed", { at: end, id: first.id }, end + 1, 10), [])
        assert.deepStrictEqual(yield* incidents.after("closed", { at: 0, id: "" }, end, 10), [])

        const next = yield* incidents.sight(sighting(2000))
        assert.notStrictEqual(next.id, first.id)
        assert.deepInclude(next.episode, { sightings: 1, number: 2 })
        yield* incidents.close("error_spike", subject, end, "recovered")
      })
    )

    it.effect("S81: many who see one thing at once make one episode, and none of their sightings is lost", () =>
      Effect.gen(function* () {
        const incidents = yield* Incidents
        const at = freshTime()
        const subject = `key/${at}`
        const sight = (n: number) => incidents.sight(aSighting({ type: "abuse", subject, at: at + n }))
        const seen = yield* Effect.forEach([0, 1, 2, 3, 4, 5, 6, 7], sight, { concurrency: "unbounded" })
        assert.strictEqual(new Set(seen.map(({ id }) => id)).size, 1)
        const [open, ...more] = yield* incidents.list(operator, { type: "abuse", open: true, subject, limit: 10 })
        assert.deepStrictEqual([open?.episode?.sightings, more], [8, []])

        const ends = yield* Effect.forEach(
          [0, 1, 2, 3],
          (n) => incidents.close("abuse", subject, at + 100 + n, "recovered"),
          { concurrency: "unbounded" }
        )
        assert.lengthOf(
          ends.filter((end) => end !== null),
          1
        )
      })
    )

    it.effect("what happened once is neither open nor over, also beside an episode of its type and subject", () =>
      Effect.gen(function* () {
        const incidents = yield* Incidents
        const at = freshTime()
        const subject = `node/${at}`
        const once = anIncident({ type: "lying_node", subject, at })
        yield* incidents.raise([once, anIncident({ type: "lying_node", subject, at })])
        assert.isNull(yield* incidents.close("lying_node", subject, at, "recovered"))
        const episode = yield* incidents.sight(aSighting({ type: "lying_node", subject, at: at + 1 }))
        yield* incidents.raise([anIncident({ type: "lying_node", subject, at: at + 2 })])
        const all = yield* incidents.list(operator, { subject, limit: 10 })
        assert.deepStrictEqual(
          all.filter((incident) => isOpen(incident)).map(({ id }) => id),
          [episode.id]
        )
        assert.lengthOf(all, 4)
        assert.notProperty(all[3], "episode")
        yield* incidents.close("lying_node", subject, at + 3, "quiet")
      })
    )
  })
