/**
 * Pieces as OpenAI's stream chunks: the role first, then what the pieces bring, then a reason to finish, for each choice. Chunks are put
 * together as text, since this runs for every token. The event's id is the piece's number, so a client can go on from it at
 * `/v1/jobs/{id}/events`.
 */
import type { Usage } from "../schemas/Job.ts"
import type { TokenEvent } from "../schemas/TokenEvent.ts"
import type { Refusal } from "../schemas/Refusal.ts"
import { type AnswerShape, answerId, completionUsage, createdOf, withoutLogprobs } from "./AnswerShape.ts"
import { problemOf } from "./Problems.ts"

export interface ChunkWriter {
  readonly pieces: (events: ReadonlyArray<TokenEvent>) => string
  /** What is still to be said when the job completed, `[DONE]` included. */
  readonly end: (usage: Usage) => string
}

export const make = (shape: AnswerShape): ChunkWriter => {
  const chat = shape.endpoint === "chat"
  const object = chat ? "chat.completion.chunk" : "text_completion"
  const head = `data: {"id":${JSON.stringify(answerId(shape))},"object":"${object}","created":${createdOf(shape)},"model":${JSON.stringify(shape.model)},"choices":[`
  const tail = shape.includeUsage ? `],"usage":null}\n\n` : "]}\n\n"
  /** Choices that spoke, and whether they finished. */
  const spoken = new Map<number, boolean>()

  const role = (choice: number): string =>
    `${head}{"index":${choice},"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}${tail}`
  const finish = (choice: number, reason: string): string =>
    `${head}{"index":${choice},${chat ? `"delta":{}` : `"text":""`},"logprobs":null,"finish_reason":"${reason}"}${tail}`
  const body = chat ? chatDelta : textPart

  const piece = (event: TokenEvent): string => {
    const { choice } = event
    let text = ""
    if (!spoken.has(choice)) {
      spoken.set(choice, false)
      if (chat) text += role(choice)
    }
    const said = body(event)
    if (said !== "") {
      text += `id: ${event.seq}\n${head}{"index":${choice},${said},"finish_reason":null}${tail}`
    }
    if (event.finish !== undefined) {
      spoken.set(choice, true)
      text += `id: ${event.seq}\n${finish(choice, event.finish)}`
    }
    return text
  }
  const end = (usage: Usage): string => {
    let text = ""
    if (spoken.size === 0) {
      spoken.set(0, false)
      if (chat) text += role(0)
    }
    for (const [choice, finished] of spoken) if (!finished) text += finish(choice, "stop")
    if (shape.includeUsage) text += `${head}],"usage":${JSON.stringify(completionUsage(usage))}}\n\n`
    return `${text}data: [DONE]\n\n`
  }
  return {
    pieces: (events) => {
      let text = ""
      for (const event of events) text += piece(event)
      return text
    },
    end
  }
}

const chatDelta = ({ text, extra }: TokenEvent): string => {
  if (extra === undefined) return text === "" ? "" : `"delta":{"content":${JSON.stringify(text)}},"logprobs":null`
  const fields = withoutLogprobs(extra)
  const logprobs = extra["logprobs"] ?? null
  const delta = text === "" && Object.keys(fields).length > 0 ? fields : { content: text, ...fields }
  return `"delta":${JSON.stringify(delta)},"logprobs":${JSON.stringify(logprobs)}`
}

const textPart = ({ text, extra }: TokenEvent): string => {
  const logprobs = extra?.["logprobs"]
  if (text === "" && logprobs === undefined) return ""
  return `"text":${JSON.stringify(text)},"logprobs":${JSON.stringify(logprobs ?? null)}`
}

/** A failure after the head went out. The SDKs raise it; no `[DONE]` follows. */
export const failureEvent = (refusal: Refusal, requestId: string): string =>
  `data: ${JSON.stringify(problemOf(refusal, requestId))}\n\n`
