import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  AGENT_PROTOCOL,
  AgentFrame,
  CLOSE,
  DaemonFrame,
  FRAME_BYTES_MAX,
  FRAME_PIECES_MAX,
  NumberedAgentFrame
} from "../../src/schemas/AgentFrame.ts"
import { Envelope, ENVELOPE_VERSION, Message } from "../../src/schemas/Envelope.ts"

const NODE = "0x00000000000000000000000000000000000000a1"
const bytes = (count: number, digit: string) => digit.repeat(count * 2)
const attempt = '"jobId":"job_1","attempt":2,"epoch":3'

/** The wire as it is: a program that was not updated together with ours reads these bytes. Change one only with `AGENT_PROTOCOL`. */
const AGENT_FRAMES = [
  `{"_tag":"Authenticate","protocol":2,"environment":"testnet","nodeId":"${NODE}","timestamp":1764032400000,"sessionKey":"${bytes(32, "a")}","signature":"${bytes(65, "b")}","profile":{"name":"rig","agentVersion":"0.1.0","runtime":"vllm","region":"eu","subclouds":["lab"],"gpus":[{"name":"RTX 4090","vramMiB":24564,"usedMiB":1000,"utilisation":0.5}],"slots":4,"models":[{"name":"llama","endpoints":["chat","completions"],"canContinue":true,"loaded":false}]}}`,
  `{"_tag":"Holding","attempts":[{${attempt},"firstSeq":1,"lastSeq":9,"done":false}]}`,
  '{"_tag":"Holding","attempts":[]}',
  '{"_tag":"Heartbeat","slotsUsed":1,"healthy":true,"digest":"d1","gpus":[]}',
  '{"_tag":"Heartbeat","slotsUsed":0,"healthy":false,"digest":"","gpus":[{"name":"L4","vramMiB":0}],"models":[{"name":"e","endpoints":["embeddings"],"canContinue":false,"loaded":true}]}',
  `{"_tag":"Accept",${attempt}}`,
  `{"_tag":"Reject",${attempt},"code":"model_not_loaded"}`,
  `{"_tag":"Pieces",${attempt},"pieces":[{"seq":1,"choice":0,"text":"h\\u00e9","extra":{"logprobs":null}},{"seq":2,"choice":1,"text":"","finish":"stop"}]}`,
  `{"_tag":"Result",${attempt},"model":"llama","requestSha256":"${bytes(32, "f")}","firstSeq":1,"lastSeq":2,"promptTokens":3,"outputTokens":2,"piecesSha256":"${bytes(32, "c")}","signature":"${bytes(64, "d")}"}`,
  `{"_tag":"Result",${attempt},"model":"llama","requestSha256":"${bytes(32, "f")}","firstSeq":1,"lastSeq":2,"promptTokens":3,"outputTokens":2,"piecesSha256":"${bytes(32, "c")}","signature":"${bytes(64, "d")}","gpu":{"name":"L4","vramMiB":24576}}`,
  `{"_tag":"Fail",${attempt},"code":"runtime_error","fault":"node"}`,
  '{"_tag":"Bye","reason":"stopped"}'
]

const DAEMON_FRAMES = [
  `{"_tag":"Challenge","protocol":2,"serverId":"daemon_a","nonce":"${bytes(32, "e")}","at":1764032400000}`,
  '{"_tag":"Registered","sessionId":"session_1","digest":"d1","heartbeatMs":10000}',
  '{"_tag":"Refused","code":"unauthenticated","message":"The signature is not the node\'s.","at":1764032400000}',
  `{"_tag":"Assign",${attempt},"lease":"lease_1-2","endpoint":"chat","body":{"model":"llama","messages":[{"role":"user","content":"hi"}],"n":2},"salt":"${bytes(32, "5")}","firstSeq":1,"prefix":[{"choice":0,"text":"So"}],"outputTokensMax":64,"deadlineMs":120000}`,
  `{"_tag":"Resume",${attempt},"fromSeq":7}`,
  '{"_tag":"Acknowledge","jobId":"job_1","attempt":2,"seq":9}',
  '{"_tag":"Cancel","jobId":"job_1","attempt":2,"code":"deadline"}',
  '{"_tag":"Settled","jobId":"job_1","attempt":2,"status":"accepted"}',
  '{"_tag":"HeartbeatSeen","digest":"d1","at":1764032400000}',
  '{"_tag":"HeartbeatSeen","digest":"d1","at":1764032400000,"restrictions":[{"kind":"cooldown","reason":"repeated faults","until":1764032430000},{"kind":"paused","reason":null,"until":null}]}',
  '{"_tag":"Drain"}'
]

const MESSAGES = [
  '{"_tag":"JobQueued","jobId":"job_1","namespaceId":"ns_1"}',
  '{"_tag":"LaneOpened","lane":"lane.testnet.global.llama.normal"}',
  `{"_tag":"TakeJob","jobId":"job_1","namespaceId":"ns_1","epoch":2,"nodeId":"${NODE}","lease":"lease_1-3","decision":{"at":1,"attempt":3,"chosen":"${NODE}","candidates":[],"excluded":{},"looked":1,"serving":1},"past":{"failures":1,"rejections":0,"tried":["${NODE}"],"faults":[{"nodeId":"${NODE}","code":"idle_timeout"}]},"followers":["daemon_1"]}`,
  '{"_tag":"AdoptJob","jobId":"job_1","namespaceId":"ns_1","from":"daemon_1"}',
  '{"_tag":"JobTaken","jobId":"job_1","taken":true}',
  '{"_tag":"FollowJob","jobId":"job_1","by":"daemon_1"}',
  '{"_tag":"CancelJob","jobId":"job_1","cause":"client_gone"}',
  '{"_tag":"JobMoved","jobId":"job_1"}',
  '{"_tag":"JobFinished","jobId":"job_1","state":"completed"}',
  `{"_tag":"NodeConnected","nodeId":"${NODE}","by":"daemon_1","generation":4}`,
  `{"_tag":"NodeRestricted","nodeId":"${NODE}"}`,
  `{"_tag":"DrainNode","nodeId":"${NODE}"}`,
  '{"_tag":"Sweep","sweeper":"expiry","dryRun":false}',
  '{"_tag":"Answered","call":"msg_2","outcome":null,"refusal":{"code":"not_found"}}',
  '{"_tag":"Lead","sweeper":"retention"}'
]
const around = (message: string, rest: string) => `{"version":1,"id":"msg_1","message":${message},${rest}}`
const ENVELOPES = [
  ...MESSAGES.map((message) => around(message, '"replyTo":null,"deadlineAt":null,"attempt":1,"traceparent":null')),
  around(
    MESSAGES[0]!,
    '"replyTo":"daemon/daemon_a","deadlineAt":1764032400000,"attempt":2,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"'
  )
]

const tagOf = (text: string) => (JSON.parse(text) as { _tag: string })._tag
/** Strict: an unknown field in a golden text would be dropped silently otherwise. */
const through = <A, I>(schema: Schema.Codec<A, I>, text: string): string => {
  const value = Schema.decodeUnknownSync(schema, { onExcessProperty: "error" })(JSON.parse(text))
  return JSON.stringify(Schema.encodeSync(schema)(value))
}
const spelled = (text: string) => JSON.stringify(JSON.parse(text))

const describeWire = <A, I>(name: string, schema: Schema.Codec<A, I>, texts: ReadonlyArray<string>) =>
  describe(name, () => {
    for (const [place, text] of texts.entries()) {
      it(`golden text ${place} is read and written as it stands: ${text.slice(0, 60)}`, () => {
        assert.strictEqual(through(schema, text), spelled(text))
      })
    }
  })

describeWire("AgentFrame", AgentFrame, AGENT_FRAMES)
describeWire("DaemonFrame", DaemonFrame, DAEMON_FRAMES)
describeWire("Envelope", Envelope, ENVELOPES)

describe("the wire as a whole", () => {
  it("every variant has a golden text", () => {
    const tags = (texts: ReadonlyArray<string>) => [...new Set(texts.map(tagOf))].toSorted()
    assert.deepStrictEqual(tags(AGENT_FRAMES), Object.keys(AgentFrame.cases).toSorted())
    assert.deepStrictEqual(tags(DAEMON_FRAMES), Object.keys(DaemonFrame.cases).toSorted())
    assert.deepStrictEqual(tags(MESSAGES), Object.keys(Message.cases).toSorted())
  })

  it("an agent's frame stands beside its number", () => {
    const text = `{"n":7,"frame":{"_tag":"Accept",${attempt}}}`
    assert.strictEqual(through(NumberedAgentFrame, text), text)
  })

  it("the fixed numbers of the protocol are these", () => {
    assert.deepStrictEqual(
      [AGENT_PROTOCOL, ENVELOPE_VERSION, FRAME_BYTES_MAX, FRAME_PIECES_MAX],
      [2, 1, 1_048_576, 512]
    )
    assert.deepStrictEqual(CLOSE, {
      bad_frame: 4400,
      unauthenticated: 4401,
      wrong_environment: 4403,
      handshake_timeout: 4408,
      superseded: 4409,
      too_fast: 4429,
      out_of_order: 1008,
      frame_too_big: 1009,
      draining: 1012,
      overloaded: 1013
    })
    assert.strictEqual(new Set(Object.values(CLOSE)).size, Object.keys(CLOSE).length)
  })

  const pieces = (count: number) =>
    Array.from({ length: count }, (_, at) => `{"seq":${at + 1},"choice":0,"text":"a"}`).join(",")
  const BAD: Record<string, string> = {
    "an unknown tag": '{"_tag":"Hello"}',
    "no tag": `{${attempt}}`,
    "a missing field": '{"_tag":"Accept","jobId":"job_1","attempt":2}',
    "another kind of id": '{"_tag":"Accept","jobId":"ns_1","attempt":2,"epoch":3}',
    "an attempt that is no whole number": '{"_tag":"Accept","jobId":"job_1","attempt":2.5,"epoch":3}',
    "an epoch in a string": '{"_tag":"Accept","jobId":"job_1","attempt":2,"epoch":"3"}',
    "a frame without pieces": `{"_tag":"Pieces",${attempt},"pieces":[]}`,
    "a frame with too many pieces": `{"_tag":"Pieces",${attempt},"pieces":[${pieces(513)}]}`,
    "a piece numbered from zero": `{"_tag":"Pieces",${attempt},"pieces":[{"seq":0,"choice":0,"text":"a"}]}`,
    "a negative choice": `{"_tag":"Pieces",${attempt},"pieces":[{"seq":1,"choice":-1,"text":"a"}]}`,
    "an unknown end": `{"_tag":"Pieces",${attempt},"pieces":[{"seq":1,"choice":0,"text":"a","finish":"done"}]}`,
    "a negative count of tokens": AGENT_FRAMES[8]!.replace('"outputTokens":2', '"outputTokens":-2'),
    "a hash in capitals": AGENT_FRAMES[8]!.replace(bytes(32, "c"), bytes(32, "C")),
    "a signature that is too short": AGENT_FRAMES[8]!.replace(bytes(64, "d"), bytes(63, "d")),
    "a node id in capitals": AGENT_FRAMES[0]!.replace("a1", "A1"),
    "a node with no slots": AGENT_FRAMES[0]!.replace('"slots":4', '"slots":0'),
    "a code that is too long": `{"_tag":"Reject",${attempt},"code":"${"x".repeat(65)}"}`,
    "a fault of somebody else": `{"_tag":"Fail",${attempt},"code":"x","fault":"client"}`
  }
  for (const [what, text] of Object.entries(BAD)) {
    it(`an agent's frame is refused with ${what}`, () => {
      assert.strictEqual(Schema.decodeUnknownOption(AgentFrame)(JSON.parse(text))._tag, "None")
    })
  }

  it("a full frame of pieces is accepted", () => {
    const text = `{"_tag":"Pieces",${attempt},"pieces":[${pieces(512)}]}`
    assert.strictEqual(through(AgentFrame, text), text)
  })

  it("what an agent is sent names no namespace, account, key, price, store or priority", () => {
    const fields = JSON.stringify(Schema.toJsonSchemaDocument(DaemonFrame))
    for (const word of [
      "namespace",
      "account",
      "keyId",
      "price",
      "quote",
      "reserved",
      "priority",
      "store",
      "blind",
      "test"
    ]) {
      assert.notInclude(fields.toLowerCase(), `"${word.toLowerCase()}`, word)
    }
  })
})
