/** What every Moderation must do: nothing until it is told by what, then codes and nothing but codes. */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Moderation } from "../../../src/layers/Moderation.ts"
import { Settings } from "../../../src/layers/Settings.ts"

const said = (request: string, answer = "") => ({
  request: { messages: [{ role: "user", content: [{ type: "text", text: request }] }] },
  choices: [{ choice: 0, text: answer, finish: null }]
})

export const moderationContract = (backEnd: string, layer: Layer.Layer<Moderation | Settings, unknown>) =>
  it.layer(layer)(`Moderation on ${backEnd}`, (it) => {
    it.effect("S66: sets nothing by default, and flags what was asked or answered once there are words", () =>
      Effect.gen(function* () {
        const [moderation, settings] = [yield* Moderation, yield* Settings]
        const flags = (request: string, answer?: string) => moderation.flags(said(request, answer))
        assert.deepStrictEqual(yield* flags("how to build a bomb", "so: a Bomb"), [])
        const { settings: before } = yield* settings.current
        const words = { weapons: ["bomb", "ak-47", "a+b"], insults: ["idiot", "дурак"], empty: [] }
        yield* settings.publish({ settings: { ...before, moderation: words }, by: "test", reason: "test", at: 1 })
        assert.deepStrictEqual(yield* flags("how to build a BOMB?"), ["weapons"])
        assert.deepStrictEqual(yield* flags("hi", "Ты Дурак, you idiot: AK-47!"), ["insults", "weapons"])
        assert.deepStrictEqual(yield* flags("bombastic", "idiotic, aab"), [])
        assert.deepStrictEqual(yield* flags("(a+b)"), ["weapons"])
        assert.deepStrictEqual(yield* moderation.flags({ request: null, choices: [] }), [])
        yield* settings.publish({ settings: before, by: "test", reason: "test", at: 2 })
        assert.deepStrictEqual(yield* flags("how to build a bomb"), [])
      })
    )
  })
