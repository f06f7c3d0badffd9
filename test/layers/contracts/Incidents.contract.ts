/** What every Incidents must do: one incident an id, newest first, and a namespace sees those that name it. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import { Incidents, type IncidentQuery } from "../../../src/layers/Incidents.ts"
import { type Incident, IncidentKind } from "../../../src/schemas/Incident.ts"
import { anIncident, freshNamespace, freshTime, only, operator } from "../../support/recordFactories.ts"

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
              const next = yield* incidents.after(place, end, page)
              read.push(...next)
              if (next.length < page) break
            }
            const expected = all.filter(({ at }) => at < end).toSorted((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
            assert.deepStrictEqual(read, expected)
          }
          assert.deepStrictEqual(yield* incidents.after({ at: from, id: "" }, from + 10, 0), [])
        })
    )
  })
