/**
 * What a job may cost and what it did cost, by the prices frozen at its admission.
 *
 * `reservation` is an upper bound: whatever usage comes back within the bounds of the job, `charge` is never above it.
 * Sums are exact (bigint) and stop at `CREDITS_MAX` instead of wrapping, so an absurd price reserves more than
 * anybody owns rather than nothing.
 */
import { Credits, CREDITS_MAX, zero } from "../schemas/Credits.ts"
import type { Endpoint, Quote, Usage } from "../schemas/Job.ts"
import type { Price, RuntimeSettings } from "../schemas/RuntimeSettings.ts"

/** The entry of `prices` for models that have none of their own. */
export const DEFAULT_PRICE = "default"

type Prices = Pick<RuntimeSettings, "prices">

/** Whether the settings know what this model costs. Ask before `quoteFor`: a model without a price is not for sale. */
export const isPriced = (settings: Prices, model: string): boolean => priceOf(settings, model) !== undefined

/**
 * The model's own price, or the default. Embeddings answer with vectors, which are no tokens, so their quote has
 * no price per output token. Throws when neither price exists, because selling for nothing would go unnoticed.
 */
export const quoteFor = (settings: Prices, version: number, model: string, endpoint: Endpoint): Quote => {
  const price = priceOf(settings, model)
  if (price === undefined) throw new Error(`settings version ${version} has no price for the model and no default`)
  return {
    version,
    perPromptToken: price.perPromptToken,
    perOutputToken: endpoint === "embeddings" ? zero : price.perOutputToken,
    perRequest: price.perRequest
  }
}

/** The most that the job can cost. */
export const reservation = (quote: Quote, promptTokensMax: number, outputTokensMax: number): Credits =>
  Credits.make(least(CREDITS_MAX, costOf(quote, promptTokensMax, outputTokensMax)))

/** What this usage costs, never above what was reserved. That nothing was produced, and so nothing is owed, is the caller's to say. */
export const charge = (quote: Quote, usage: Usage, reserved: Credits): Credits =>
  Credits.make(least(reserved, costOf(quote, usage.promptTokens, usage.outputTokens)))

const costOf = (quote: Quote, promptTokens: number, outputTokens: number): bigint =>
  quote.perRequest + quote.perPromptToken * BigInt(promptTokens) + quote.perOutputToken * BigInt(outputTokens)

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b)

/** `hasOwn`, because a client may ask for a model called `constructor`. */
const priceOf = ({ prices }: Prices, model: string): Price | undefined =>
  Object.hasOwn(prices, model)
    ? prices[model]
    : Object.hasOwn(prices, DEFAULT_PRICE)
      ? prices[DEFAULT_PRICE]
      : undefined
