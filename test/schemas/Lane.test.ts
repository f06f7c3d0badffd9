import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { Environment, GLOBAL, laneName, laneNamed, laneOf, Priority, type Lane } from "../../src/schemas/Job.ts"

const part = Arbitrary.schema(Schema.Literals(["", "a", "b", "%", "%2E", "ü", " "]))
/** Two lanes of one text that is cut at one of its dots, so that a dot that is not escaped makes them look alike. */
const alike = Arbitrary.map(
  Arbitrary.all({
    parts: Arbitrary.array(part, { minLength: 2, maxLength: 5 }),
    first: Arbitrary.schema(Schema.Natural),
    second: Arbitrary.schema(Schema.Natural),
    environment: Arbitrary.schema(Environment),
    priority: Arbitrary.schema(Priority)
  }),
  ({ parts, first, second, environment, priority }) => {
    const cut = (at: number): Lane => {
      const place = 1 + (at % (parts.length - 1))
      return {
        environment,
        priority,
        subcloud: parts.slice(0, place).join("."),
        model: parts.slice(place).join(".")
      }
    }
    return { a: cut(first), b: cut(second) }
  }
)
const isSame = (a: Lane, b: Lane) =>
  a.environment === b.environment && a.subcloud === b.subcloud && a.model === b.model && a.priority === b.priority

describe("lanes", () => {
  it.prop("two lanes have one name only when they are one lane", { pair: alike }, ({ pair: { a, b } }) => {
    assert.strictEqual(laneName(a) === laneName(b), isSame(a, b))
  })

  it.prop("a lane comes back from its name", { pair: alike }, ({ pair: { a } }) => {
    assert.deepStrictEqual(laneNamed(laneName(a)), a)
  })

  it.prop("lanes of different environments or priorities have different names", { pair: alike }, ({ pair: { a } }) => {
    const all = Environment.literals.flatMap((environment) =>
      Priority.literals.map((priority) => laneName({ ...a, environment, priority }))
    )
    assert.strictEqual(new Set(all).size, all.length)
  })

  it("a dot within a name is not mistaken for the one between names", () => {
    const at = (subcloud: string, model: string) =>
      laneName({ environment: "testnet", subcloud, model, priority: "normal" })
    assert.notStrictEqual(at("a.b", "c"), at("a", "b.c"))
    assert.notStrictEqual(at("a", "b%2Ec"), at("a", "b.c"))
  })

  for (const name of [
    "",
    "lane",
    "lane.testnet.global.llama",
    "lane.testnet.global.llama.normal.x",
    "queue.testnet.global.llama.normal",
    "lane.devnet.global.llama.normal",
    "lane.testnet.global.llama.slow",
    "lane.testnet.global.%.normal",
    "lane.testnet.%E0%A4%A.llama.normal"
  ]) {
    it(`"${name}" is the name of no lane`, () => {
      assert.isNull(laneNamed(name))
    })
  }

  it("a job without a subcloud waits in the global lane of its model", () => {
    const job = { environment: "mainnet", constraints: {}, model: "llama", priority: "bulk" } as const
    assert.deepStrictEqual(laneOf(job), { environment: "mainnet", subcloud: GLOBAL, model: "llama", priority: "bulk" })
    assert.strictEqual(laneName(laneOf(job)), "lane.mainnet.global.llama.bulk")
    assert.strictEqual(laneOf({ ...job, constraints: { subcloud: "lab" } }).subcloud, "lab")
  })
})
