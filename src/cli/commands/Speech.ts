/**
 * A job's pieces as text for a person or as lines for a program. Several answers come mixed; a person sees by its number which one goes on. On
 * a terminal what a model says must not be able to steer it.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Output, PipeClosed } from "../Output.ts"
import { harmless } from "../Plain.ts"

export interface Piece {
  readonly seq: number
  readonly choice: number
  readonly text: string
  readonly extra?: Schema.Json
  readonly finish?: Schema.Json
}

export interface Speech {
  readonly say: (pieces: ReadonlyArray<Piece>) => Effect.Effect<void, PipeClosed>
  readonly end: (end: Schema.JsonObject) => Effect.Effect<void, PipeClosed>
}

export const make = (out: Output["Service"], json: boolean): Speech => (json ? lines(out) : prose(out))

const lines = ({ write }: Output["Service"]): Speech => ({
  say: (pieces) =>
    pieces.length === 0
      ? Effect.void
      : write(pieces.map((piece) => `${JSON.stringify({ event: "tokens", ...piece })}\n`).join("")),
  end: (end) => write(`${JSON.stringify({ event: "ended", ...end })}\n`)
})

const prose = ({ write, isTerminal }: Output["Service"]): Speech => {
  let choice = 0
  let fresh = true
  const textOf = (piece: Piece): string => {
    if (piece.text === "") return ""
    const turns = piece.choice !== choice
    choice = piece.choice
    const head = turns ? `${fresh ? "" : "\n"}[${piece.choice}] ` : ""
    const text = isTerminal ? harmless(piece.text) : piece.text
    fresh = text.endsWith("\n")
    return `${head}${text}`
  }
  return {
    say: (pieces) => {
      const text = pieces.map(textOf).join("")
      return text === "" ? Effect.void : write(text)
    },
    end: () => (fresh ? Effect.void : write("\n"))
  }
}
