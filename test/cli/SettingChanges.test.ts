/** KEY=VALUE words: names with dots in them, values that look like something else. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { changesOf } from "../../src/cli/commands/SettingChanges.ts"

const changes = (...words: ReadonlyArray<string>) => Result.getOrThrow(changesOf(words))
const fault = (word: string) => Result.getOrThrow(Result.flip(changesOf([word]))).message

describe("changes of the settings", () => {
  it("keep the dots of a model's name, in prices and in aliases", () => {
    assert.deepStrictEqual(
      changes("prices.llama-3.1.perPromptToken=1", "prices.llama-3.1.perRequest=0", "aliases.gpt-4.1=llama-3.1"),
      { prices: { "llama-3.1": { perPromptToken: "1", perRequest: "0" } }, aliases: { "gpt-4.1": "llama-3.1" } }
    )
  })

  it("are text for prices and aliases, and JSON for everything else", () => {
    assert.deepStrictEqual(changes("aliases.a=123", "outputTokensMax=5", "deadlineMs.sync=7"), {
      aliases: { a: "123" },
      outputTokensMax: 5,
      deadlineMs: { sync: 7 }
    })
  })

  it("reach the rules of detectors, and keep the dots of whom a promise is about", () => {
    assert.deepStrictEqual(
      changes(
        "detectors.windowMs=60000",
        "detectors.abuse.rejectionsMax=3",
        "detectors.lying.restrict=cooldown",
        "detectors.sla.targets.model/llama-3.1.totalMs=5",
        'detectors.sla.targets.node/*={"totalMs":7}',
        "detectors.sla.targets.model/gpt-4.1=null"
      ),
      {
        detectors: {
          windowMs: 60_000,
          abuse: { rejectionsMax: 3 },
          lying: { restrict: "cooldown" },
          sla: {
            targets: { "model/llama-3.1": { totalMs: 5 }, "node/*": { totalMs: 7 }, "model/gpt-4.1": null }
          }
        }
      }
    )
  })

  it("take away what is set to null, whole or in part", () => {
    assert.deepStrictEqual(changes("aliases.gpt-4.1=null", "prices.llama-3.1=null"), {
      aliases: { "gpt-4.1": null },
      prices: { "llama-3.1": null }
    })
  })

  it("keep what comes behind the first equals sign", () => {
    assert.deepStrictEqual(changes("aliases.a=b=c"), { aliases: { a: "b=c" } })
  })

  it("are refused, when a word is no setting or no value", () => {
    assert.match(fault("outputTokensMax"), /is not KEY=VALUE/)
    assert.match(fault("=1"), /is not KEY=VALUE/)
    assert.match(fault("nothing=1"), /there is no setting nothing; there are prices, aliases/)
    assert.match(fault("__proto__.x=1"), /there is no setting/)
    assert.match(fault("outputTokensMax=many"), /is no number/)
  })
})
