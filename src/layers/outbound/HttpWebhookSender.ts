/**
 * Requests to receivers over HTTP, each on a connection of its own. A name is looked up once, by the connection itself, and every address that it
 * stands for must be allowed: what was checked is what is connected to, so a name that changes its mind in between gains nothing. Names are
 * checked nowhere else, and addresses in URLs before anything is sent. No proxy is used.
 */
import * as dns from "node:dns"
import * as http from "node:http"
import * as https from "node:https"
import { isIP, type LookupFunction } from "node:net"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Driver, make, type SendOutcome, type SignedRequest, WebhookSender } from "../WebhookSender.ts"
import * as AddressGuard from "./AddressGuard.ts"

export interface OutboundRules {
  /** Without `http` in it nothing travels in clear. */
  readonly schemes: ReadonlyArray<"https" | "http">
  /** Addresses and ranges beside the public internet. */
  readonly ranges: ReadonlyArray<string>
}

type Resolve = (
  name: string,
  options: dns.LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: Array<dns.LookupAddress>) => void
) => void

/** Of an answer's body so much is read and thrown away; more of it ends the connection. */
export const ANSWER_BYTES_MAX = 65_536

/** Before anything is asked: what can be said of the URL alone. */
const objectionTo = ({ schemes }: OutboundRules, guard: AddressGuard.AddressGuard, text: string): string | null => {
  if (!URL.canParse(text)) return "is no URL"
  const { protocol, username, password, hash, hostname } = new URL(text)
  if (!schemes.some((scheme) => protocol === `${scheme}:`)) return `has to begin with ${schemes.join(":// or ")}://`
  if (username !== "" || password !== "") return "may not hold a user or a password"
  if (hash !== "") return "may not hold a fragment"
  const address = hostname.replace(/^\[(.*)\]$/, "$1")
  return isIP(address) === 0 || guard.allows(address) ? null : `names the address ${address}, which is not allowed`
}

/** What `net.connect` asks for addresses, and takes no others than these. */
export const guardedLookup =
  (guard: AddressGuard.AddressGuard, resolve: Resolve): LookupFunction =>
  (name, options, callback) =>
    resolve(name, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? []
      if (error !== null || first === undefined) return callback(error ?? new Error("no address"), "", 0)
      const forbidden = addresses.find(({ address }) => !guard.allows(address))
      if (forbidden !== undefined) {
        return callback(new Error(`its name stands for ${forbidden.address}, which is not allowed`), "", 0)
      }
      return options.all === true ? callback(null, addresses) : callback(null, first.address, first.family)
    })

const whyOf = (error: Error): string => {
  const { code } = error as NodeJS.ErrnoException
  return (typeof code === "string" ? code : error.message).slice(0, 200)
}

/** Reads what there is of a body and keeps nothing; `ended` once there is no more, or enough. */
const drain = (answer: http.IncomingMessage, ended: () => void): void => {
  let bytes = 0
  answer.on("data", (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= ANSWER_BYTES_MAX) return
    ended()
    answer.destroy()
  })
  answer.on("end", ended)
}

const post = (lookup: LookupFunction, { url, headers, body }: SignedRequest): Effect.Effect<SendOutcome> =>
  Effect.callback((resume) => {
    const target = new URL(url)
    const { request: open } = target.protocol === "https:" ? https : http
    const request = open(target, { method: "POST", agent: false, lookup, headers: { ...headers, connection: "close" } })
    const unsent = (error: Error) => resume(Effect.succeed({ _tag: "Unsent", why: whyOf(error) }))
    request.on("error", unsent)
    request.on("response", (answer) => {
      const { statusCode: status = 0, headers } = answer
      answer.on("error", unsent)
      drain(answer, () =>
        resume(Effect.succeed({ _tag: "Answered", status, retryAfter: headers["retry-after"] ?? null }))
      )
    })
    request.end(body)
    return Effect.sync(() => void request.destroy())
  })

/** @param resolve asked for the addresses of names; the system's own unless a test answers */
export const driver = (rules: OutboundRules, resolve: Resolve = dns.lookup): Driver => {
  const guard = AddressGuard.make(rules.ranges)
  const lookup = guardedLookup(guard, resolve)
  return {
    objection: (url) => objectionTo(rules, guard, url),
    send: (request) => post(lookup, request)
  }
}

export const layer = (rules: OutboundRules, resolve: Resolve = dns.lookup): Layer.Layer<WebhookSender> =>
  Layer.sync(WebhookSender, () => make(driver(rules, resolve)))
