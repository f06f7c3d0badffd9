/**
 * A failure that is told to the client: a stable code, its HTTP status, what went wrong and what to do.
 * Whether an SDK should try again is part of the code's meaning, not of the status alone.
 */
import * as Schema from "effect/Schema"

interface Meaning {
  readonly status: number
  /** OpenAI's `error.type`. */
  readonly type: string
  readonly retry: boolean
}

const invalid = (status: number): Meaning => ({ status, type: "invalid_request_error", retry: false })

export const REFUSALS = {
  invalid_request: invalid(400),
  invalid_api_key: { status: 401, type: "authentication_error", retry: false },
  insufficient_credits: { status: 402, type: "insufficient_quota", retry: false },
  forbidden: { status: 403, type: "permission_error", retry: false },
  not_found: invalid(404),
  model_not_found: invalid(404),
  method_not_allowed: invalid(405),
  not_acceptable: invalid(406),
  request_timeout: { status: 408, type: "timeout_error", retry: true },
  conflict: invalid(409),
  idempotency_in_progress: { status: 409, type: "conflict_error", retry: true },
  length_required: invalid(411),
  archived: invalid(410),
  request_too_large: invalid(413),
  uri_too_long: invalid(414),
  unsupported_media_type: invalid(415),
  idempotency_mismatch: invalid(422),
  job_rejected: invalid(422),
  upgrade_required: invalid(426),
  rate_limited: { status: 429, type: "rate_limit_error", retry: true },
  headers_too_large: invalid(431),
  internal_error: { status: 500, type: "server_error", retry: false },
  not_available: { status: 501, type: "invalid_request_error", retry: false },
  model_unavailable: { status: 503, type: "server_error", retry: true },
  unavailable: { status: 503, type: "server_error", retry: true },
  overloaded: { status: 503, type: "server_error", retry: true },
  draining: { status: 503, type: "server_error", retry: true },
  job_failed: { status: 503, type: "server_error", retry: false },
  job_cancelled: { status: 409, type: "conflict_error", retry: false },
  job_timed_out: { status: 504, type: "timeout_error", retry: true },
  job_expired: { status: 504, type: "timeout_error", retry: true }
} as const satisfies Record<string, Meaning>

export const RefusalCode = Schema.Literals(Object.keys(REFUSALS) as ReadonlyArray<keyof typeof REFUSALS>)
export type RefusalCode = typeof RefusalCode.Type
export const isRefusalCode = Schema.is(RefusalCode)

export class Refusal extends Schema.TaggedError<Refusal>()("Refusal", {
  code: RefusalCode,
  /** One or two sentences for a person: the cause and what to do. Never a stack, a path, a host or another's id. */
  message: Schema.String,
  /** The field of the request that is wrong. */
  param: Schema.optionalKey(Schema.String),
  retryAfterMs: Schema.optionalKey(Schema.Int),
  jobId: Schema.optionalKey(Schema.String),
  /** How the job stands that is told of, as its view. */
  job: Schema.optionalKey(Schema.Json)
}) {
  get meaning(): Meaning {
    return REFUSALS[this.code]
  }
}

/** The refusal for this code, with the sentence that the client reads. */
export const refuse = (
  code: RefusalCode,
  message: string,
  more: {
    readonly param?: string
    readonly retryAfterMs?: number
    readonly jobId?: string
    readonly job?: Schema.Json
  } = {}
): Refusal => new Refusal({ code, message, ...more })
