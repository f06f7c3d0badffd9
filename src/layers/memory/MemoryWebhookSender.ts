/** Receivers in memory: what was sent is kept, and a function says what each answers. Nothing leaves the process. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { make, type SendOutcome, type SignedRequest, WebhookSender } from "../WebhookSender.ts"

export interface State {
  readonly sent: Array<SignedRequest>
  answer: (request: SignedRequest) => Effect.Effect<SendOutcome>
}

export const makeState = (): State => ({
  sent: [],
  answer: () => Effect.succeed({ _tag: "Answered", status: 204, retryAfter: null })
})

export const over = (state: State): Layer.Layer<WebhookSender> =>
  Layer.sync(WebhookSender, () =>
    make({
      objection: (url) => (URL.canParse(url) ? null : "is no URL"),
      send: (request) =>
        Effect.suspend(() => {
          state.sent.push(request)
          return state.answer(request)
        })
    })
  )

export const layer: Layer.Layer<WebhookSender> = Layer.suspend(() => over(makeState()))
