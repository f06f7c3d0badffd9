/** What operators are shown: no figure without a panel, no panel or alert without its figure, and no alert without a page that says what to do. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Metrics from "../../src/layers/Metrics.ts"
import { ROOT } from "../support/Process.ts"

const read = (path: string) => readFileSync(join(ROOT, path), "utf8")

interface Panel {
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: ReadonlyArray<{ readonly expr: string }>
}

const known: ReadonlyMap<string, string> = new Map(
  Object.values(Metrics).flatMap((metric) => ("id" in metric ? [[metric.id, metric.type] as const] : []))
)
const { panels }: { readonly panels: ReadonlyArray<Panel> } = JSON.parse(read("deploy/grafana/resultity.json"))
const shown = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })))

const rules = read("deploy/prometheus/alerts.yml")
  .split(/^ {6}- (?=alert: )/m)
  .slice(1)
  .map((text) => ({
    text,
    name: /^alert: (\w+)$/m.exec(text)?.[1] ?? "",
    expr: /^ {8}expr: >-\n((?: {10}.*\n)+)/m.exec(text)?.[1] ?? "",
    runbook: /^ {10}runbook: (\S+)$/m.exec(text)?.[1] ?? "",
    severity: /severity: (\w+)/.exec(text)?.[1] ?? ""
  }))

/** Figures of ours that an expression reads, without the endings that Prometheus gives the parts of a histogram. */
const figuresIn = (expr: string) =>
  [...expr.matchAll(/\bresultity_\w+/g)].map(([name]) => {
    const whole = name.replace(/_(?:bucket|sum|count)$/, "")
    return { name, figure: known.has(name) ? name : whole }
  })

describe("figures", () => {
  it("are read as what they are, by every panel and every alert", () => {
    assert.isAbove(known.size, 10)
    for (const { title, expr } of [...shown, ...rules.map(({ name, expr }) => ({ title: name, expr }))]) {
      for (const { name, figure } of figuresIn(expr)) {
        assert.isTrue(known.has(figure), `${title}: ${name}`)
        assert.strictEqual(name === figure, known.get(figure) !== "Histogram", `${title}: ${name}`)
        // A counter by itself says nothing; what grew does.
        if (known.get(figure) === "Counter") assert.match(expr, /\b(?:rate|increase)\(/, `${title}: ${name}`)
      }
    }
  })

  it("each have a panel and a row in the documents that names their alert", () => {
    const drawn = new Set(shown.flatMap(({ expr }) => figuresIn(expr).map(({ figure }) => figure)))
    const rows = read("docs/operations/metrics.md").split("\n")
    for (const figure of known.keys()) {
      assert.isTrue(drawn.has(figure), `${figure} has no panel`)
      const row = rows.find((line) => line.startsWith(`| \`${figure}\` |`))
      assert.isDefined(row, figure)
      const alerts = rules.filter(({ expr }) => figuresIn(expr)[0]?.figure === figure).map(({ name }) => name)
      for (const alert of alerts) assert.include(row, `\`${alert}\``)
      for (const [, named] of row!.matchAll(/`(Resultity\w+)`/g))
        assert.isTrue(
          rules.some(({ name }) => name === named),
          named
        )
    }
  })
})

describe("the dashboard", () => {
  it("says of each panel what it shows, and lays none over another", () => {
    const taken = new Set<string>()
    for (const { type, title, description, gridPos, targets } of panels) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.isFalse(taken.has(`${x} ${y}`), title)
          taken.add(`${x} ${y}`)
        }
      if (type === "row") continue
      assert.isString(description, title)
      assert.isNotEmpty(targets, title)
    }
  })
})

describe("an alert", () => {
  it("names a page that is there and speaks of it, and how soon somebody has to look", () => {
    assert.isAbove(rules.length, 15)
    assert.strictEqual(new Set(rules.map(({ name }) => name)).size, rules.length)
    for (const { name, runbook, severity, expr, text } of rules) {
      assert.isNotEmpty(expr, name)
      assert.match(text, /^ {10}summary: \S/m, name)
      assert.include(["page", "ticket"], severity, name)
      assert.match(runbook, /^docs\/operations\/[\w/-]+\.md$/, name)
      assert.isTrue(existsSync(join(ROOT, runbook)), `${name}: ${runbook}`)
      assert.include(read(runbook), `\`${name}\``, runbook)
    }
  })
})

const promtool = spawnSync("promtool", ["--version"], { stdio: "ignore" }).status === 0
if (!promtool) console.warn("skipped: what Prometheus says of its alerts; install promtool (Debian: prometheus)")

it.skipIf(!promtool)("Prometheus takes the alerts, and they tell trouble from a quiet day", () => {
  for (const args of [
    ["check", "rules", "deploy/prometheus/alerts.yml"],
    ["test", "rules", "test/deploy/alerts.yml"]
  ]) {
    const { status, stdout, stderr } = spawnSync("promtool", args, { cwd: ROOT, encoding: "utf8" })
    assert.strictEqual(status, 0, `${stdout}${stderr}`)
  }
})
