import { defineConfig } from "vitest/config"
import { CoverageReporter } from "./test/support/CoverageReporter.ts"

const report = process.env["RESULTITY_TEST_REPORT"]

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: [
      "default",
      new CoverageReporter(),
      ...(report === undefined ? [] : [["json", { outputFile: report }] as [string, object]])
    ]
  }
})
