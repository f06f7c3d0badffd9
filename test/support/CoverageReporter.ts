/** Says at the end of a run which back ends the conformance suites covered, and which were not there. */
import type { Reporter, TestModule } from "vitest/node"

/** Variables that would bring a back end into the run. */
const OPTIONAL = {
  LLAMA_URL: "llama.cpp (a real model runtime)",
  POSTGRES_URL: "PostgreSQL",
  MONGODB_URL: "MongoDB",
  REDIS_URL: "Redis",
  RABBITMQ_URL: "RabbitMQ",
  S3_URL: "S3"
} as const

export class CoverageReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const covered = new Set<string>()
    for (const module of modules) {
      for (const suite of module.children.allSuites()) {
        const [, backEnd] = /^[A-Z][A-Za-z]+ on (.+)$/.exec(suite.name) ?? []
        if (backEnd !== undefined) covered.add(backEnd)
      }
    }
    const lines = [...covered].toSorted().map((name) => `  covered: ${name}`)
    for (const [variable, what] of Object.entries(OPTIONAL)) {
      const there = (process.env[variable] ?? "") !== ""
      if (!there) lines.push(`  not there: ${what}; set ${variable}`)
      else if (!covered.has(what)) lines.push(`  covered: ${what}`)
    }
    process.stdout.write(`\nBack ends\n${lines.join("\n")}\n`)
  }
}
