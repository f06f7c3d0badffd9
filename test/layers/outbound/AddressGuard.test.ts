/** Which addresses a webhook may lead to, as a table: by number, by name, and by a name that changes its mind. */
import type { LookupAddress } from "node:dns"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { WebhookSender } from "../../../src/layers/WebhookSender.ts"
import * as AddressGuard from "../../../src/layers/outbound/AddressGuard.ts"
import * as HttpWebhookSender from "../../../src/layers/outbound/HttpWebhookSender.ts"
import { aSecret } from "../../support/webhookFactories.ts"
import { status, WebhookReceiver } from "../../support/WebhookReceiver.ts"

const FORBIDDEN: Readonly<Record<string, ReadonlyArray<string>>> = {
  loopback: ["127.0.0.1", "127.255.255.254", "::1", "0:0:0:0:0:0:0:1"],
  unspecified: ["0.0.0.0", "0.1.2.3", "::"],
  private: ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"],
  "link-local": ["169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1"],
  "carrier's": ["100.64.0.1", "100.127.255.255"],
  multicast: ["224.0.0.1", "239.255.255.255", "ff02::1"],
  broadcast: ["255.255.255.255", "240.0.0.1"],
  "mapped IPv4": ["::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:a00:1", "::ffff:169.254.169.254"],
  "embedded IPv4": ["::127.0.0.1", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001::1"],
  special: ["192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"],
  "of documents": ["2001:db8::1", "3fff::1"],
  discarded: ["100::1", "fec0::1", "5f00::1"],
  "no address": ["", "localhost", "127.1", "0x7f000001", "2130706433", "1.2.3.4.5", "[::1]", "1.2.3.4/8"]
}
const ALLOWED = [
  "1.1.1.1",
  "8.8.8.8",
  "172.15.255.255",
  "172.32.0.1",
  "100.63.255.255",
  "100.128.0.1",
  "192.167.255.255",
  "223.255.255.255",
  "2606:4700:4700::1111",
  "2a00:1450::1",
  "::ffff:8.8.8.8"
]

describe("an address", () => {
  const guard = AddressGuard.make([])
  for (const [what, addresses] of Object.entries(FORBIDDEN)) {
    it(`is refused when it is ${what}`, () => {
      assert.deepStrictEqual(
        addresses.filter((address) => guard.allows(address)),
        []
      )
    })
  }

  it("of the public internet is allowed, up to the edges of what is not", () => {
    assert.deepStrictEqual(
      ALLOWED.filter((address) => !guard.allows(address)),
      []
    )
  })

  it("is allowed when an operator names it or its range, in either notation, and its neighbours stay refused", () => {
    const named = AddressGuard.make(["10.1.0.0/16", "127.0.0.1", "fd00:1::/32"])
    for (const address of ["10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "::ffff:7f00:1", "fd00:1::5"]) {
      assert.isTrue(named.allows(address), address)
    }
    for (const address of ["10.2.0.1", "127.0.0.2", "fd00:2::5", "::1", "169.254.169.254"]) {
      assert.isFalse(named.allows(address), address)
    }
  })
})

const objectionOf = (url: string, rules: Partial<HttpWebhookSender.OutboundRules> = {}) =>
  Effect.map(WebhookSender, ({ objection }) => objection(url)).pipe(
    Effect.provide(HttpWebhookSender.layer({ schemes: ["https"], ranges: [], ...rules }))
  )

const REFUSED_URLS = [
  "nowhere",
  "//example.com/hook",
  "http://example.com/hook",
  "ftp://example.com/hook",
  "file:///etc/passwd",
  "https://user@example.com/hook",
  "https://user:word@example.com/hook",
  "https://example.com/hook#part",
  "https://127.0.0.1/hook",
  "https://127.1/hook",
  "https://0177.0.0.1/hook",
  "https://0x7f.0.0.1/hook",
  "https://2130706433/hook",
  "https://0/hook",
  "https://[::1]/hook",
  "https://[::]/hook",
  "https://[::ffff:127.0.0.1]/hook",
  "https://[fe80::1]/hook",
  "https://169.254.169.254/latest/meta-data",
  "https://１２７.0.0.1/hook",
  "https:\\\\127.0.0.1\\hook"
]

describe("a URL", () => {
  for (const url of REFUSED_URLS) {
    it.effect(`is refused: ${url}`, () => Effect.map(objectionOf(url), (objection) => assert.isNotNull(objection)))
  }

  it.effect("is taken with a public name or number, and in clear where the operator says so", () =>
    Effect.gen(function* () {
      for (const url of ["https://example.com/hook?a=1", "https://example.com:8443/", "https://1.1.1.1/hook"]) {
        assert.isNull(yield* objectionOf(url), url)
      }
      assert.isNull(yield* objectionOf("http://example.com/", { schemes: ["https", "http"] }))
    })
  )
})

/** Answers for every name, one list after the other. */
const resolving = (...answers: ReadonlyArray<ReadonlyArray<string>>) => {
  let asked = 0
  const resolve = (_: string, __: object, callback: (error: null, addresses: Array<LookupAddress>) => void) => {
    const addresses = answers[Math.min(asked++, answers.length - 1)] ?? []
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }))
    )
  }
  return { resolve, asked: () => asked }
}

/** What comes of a request to a name that stands for these addresses, with a receiver listening on 127.0.0.1. */
const sendTo = (names: ReturnType<typeof resolving>, ranges: ReadonlyArray<string>, times = 1) =>
  Effect.gen(function* () {
    const receiver = yield* WebhookReceiver.start
    const url = receiver.url("/hook").replace("127.0.0.1", "receiver.example")
    const layer = HttpWebhookSender.layer({ schemes: ["https", "http"], ranges }, names.resolve)
    const sender = yield* Effect.provide(WebhookSender, layer)
    const message = { url, secret: aSecret(), id: "notice_1", at: 0, body: "{}" }
    const outcomes = yield* Effect.all(Array.from({ length: times }, () => sender.send(message)))
    return { outcomes, received: receiver.received.length }
  })

describe("a name", () => {
  it.effect("is connected to at the address that was checked, and looked up once for each request", () =>
    Effect.gen(function* () {
      const names = resolving(["127.0.0.1"])
      const { outcomes, received } = yield* sendTo(names, ["127.0.0.1"])
      assert.deepStrictEqual([outcomes[0]?._tag, received, names.asked()], ["Answered", 1, 1])
    })
  )

  for (const addresses of [
    ["127.0.0.1"],
    ["::1"],
    ["::ffff:127.0.0.1"],
    ["169.254.169.254"],
    ["93.184.216.34", "127.0.0.1"],
    ["127.0.0.1", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]
  ]) {
    it.effect(`is not connected to when it stands for ${addresses.join(" and ")}`, () =>
      Effect.gen(function* () {
        const { outcomes, received } = yield* sendTo(resolving(addresses), [])
        assert.strictEqual(received, 0)
        assert.match(JSON.stringify(outcomes[0]), /"Unsent".*is not allowed/)
      })
    )
  }

  it.effect("that changes its mind gains nothing: the second request is refused where it leads", () =>
    Effect.gen(function* () {
      // The first answer is allowed by name here, so that something listens there.
      const names = resolving(["127.0.0.1"], ["127.0.0.2"], ["10.0.0.1"])
      const { outcomes, received } = yield* sendTo(names, ["127.0.0.1"], 3)
      assert.deepStrictEqual(
        outcomes.map(({ _tag }) => _tag),
        ["Answered", "Unsent", "Unsent"]
      )
      assert.deepStrictEqual([received, names.asked()], [1, 3])
    })
  )

  it.effect("that stands for nothing is said so", () =>
    Effect.gen(function* () {
      const { outcomes } = yield* sendTo(resolving([]), [])
      assert.deepStrictEqual(outcomes, [{ _tag: "Unsent", why: "no address" }])
    })
  )
})

const open = HttpWebhookSender.layer({ schemes: ["https", "http"], ranges: ["127.0.0.1"] })

describe("an answer", () => {
  it.effect("that leads elsewhere is not followed", () =>
    Effect.gen(function* () {
      const receiver = yield* WebhookReceiver.start
      receiver.answers.set("/hook", status(307, { location: receiver.url("/other") }))
      const { send } = yield* WebhookSender
      const outcome = yield* send({ url: receiver.url("/hook"), secret: aSecret(), id: "n", at: 0, body: "{}" })
      assert.deepInclude(outcome, { status: 307 })
      assert.strictEqual(receiver.received.length, 1)
    }).pipe(Effect.provide(open))
  )

  it.effect("without an end is cut off after 64 KiB, and its status stands", () =>
    Effect.gen(function* () {
      const receiver = yield* WebhookReceiver.start
      let cut: () => void
      const untilCut = new Promise<void>((resolve) => void (cut = resolve))
      receiver.answers.set("/hook", (response) => {
        response.writeHead(200)
        const chunk = Buffer.alloc(16_384)
        const go = () => {
          while (!response.destroyed && response.write(chunk));
        }
        response.on("drain", go).on("close", () => cut())
        go()
      })
      const { send } = yield* WebhookSender
      const outcome = yield* send({ url: receiver.url("/hook"), secret: aSecret(), id: "n", at: 0, body: "{}" })
      assert.deepStrictEqual(outcome, { _tag: "Answered", status: 200, retryAfter: null })
      yield* Effect.promise(() => untilCut)
    }).pipe(Effect.provide(open))
  )

  it.effect("that is none is told by the system's word for it", () =>
    Effect.gen(function* () {
      const receiver = yield* WebhookReceiver.start
      receiver.answers.set("/hook", (response) => void response.destroy())
      const { send } = yield* WebhookSender
      const send1 = (url: string) => send({ url, secret: aSecret(), id: "n", at: 0, body: "{}" })
      assert.deepStrictEqual(yield* send1(receiver.url("/hook")), { _tag: "Unsent", why: "ECONNRESET" })
      assert.deepStrictEqual(yield* send1("http://127.0.0.1:1/"), { _tag: "Unsent", why: "ECONNREFUSED" })
      // TLS is spoken to who does not speak it.
      const outcome = yield* send1(receiver.url("/hook").replace("http:", "https:"))
      assert.strictEqual(outcome._tag, "Unsent")
    }).pipe(Effect.provide(open))
  )
})
