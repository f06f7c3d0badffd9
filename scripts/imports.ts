/** Checks who imports whom. Fails also when too few modules were read: the tool is silent about files that it cannot parse. */
import { cruise } from "dependency-cruiser"
// @ts-expect-error -- the tool reads its configuration as plain JavaScript
import config from "../.dependency-cruiser.mjs"

const MODULES_MIN = 180

interface Summary {
  readonly violations: ReadonlyArray<{
    readonly from: string
    readonly to: string
    readonly rule: { readonly name: string }
    readonly cycle?: ReadonlyArray<{ readonly name: string }>
  }>
  readonly totalCruised: number
}

const { options, ...ruleSet } = config
const { output } = await cruise(["src"], { ruleSet, validate: true, ...options } as never)
const { violations, totalCruised } = (output as { readonly summary: Summary }).summary
if (totalCruised < MODULES_MIN) {
  console.error(`imports: read only ${totalCruised} modules, at least ${MODULES_MIN} are there`)
  process.exit(1)
}
for (const { from, to, rule, cycle } of violations) {
  console.error(
    `${from} → ${to}: ${rule.name}${cycle === undefined ? "" : ` (${cycle.map(({ name }) => name).join(" → ")})`}`
  )
}
console.log(`imports: ${totalCruised} modules, ${violations.length} violations`)
process.exit(violations.length === 0 ? 0 : 1)
