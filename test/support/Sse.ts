/** Server-sent events of a response, one at a time, as they come; throws when the connection breaks before the stream is over. */

export interface SseEvent {
  /** Empty when the event has none. */
  readonly event: string
  readonly id: string
  readonly data: string
}

export const sseEvents = async function* (response: Response): AsyncGenerator<SseEvent, void> {
  let rest = ""
  const decoder = new TextDecoder()
  for await (const bytes of response.body ?? []) {
    rest += decoder.decode(bytes, { stream: true })
    const blocks = rest.split("\n\n")
    rest = blocks.pop() ?? ""
    for (const block of blocks) {
      const event = parse(block)
      if (event !== null) yield event
    }
  }
}

/** Null for a comment. */
const parse = (block: string): SseEvent | null => {
  const fields = { event: "", id: "", data: "" }
  let any = false
  for (const line of block.split("\n")) {
    const match = /^(event|id|data): ?(.*)$/.exec(line)
    if (match === null) continue
    any = true
    fields[match[1] as keyof typeof fields] += match[2] ?? ""
  }
  return any ? fields : null
}
