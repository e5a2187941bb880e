/** A message of a request, in the words that every wire format shares. */
export interface ModelMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  /** Its text parts, joined by newlines; what an agent adds for itself (`<system-reminder>`) is left out. */
  readonly text: string
  /** Calls that an assistant's message makes. */
  readonly toolCalls: readonly { readonly id: string; readonly name: string; readonly input: unknown }[]
  /** Results that a user's or tool's message brings. */
  readonly toolResults: readonly { readonly id: string; readonly text: string; readonly isError: boolean }[]
}

/** A request for an answer, whatever format it came in. */
export interface ModelRequest {
  readonly format: string
  readonly model: string
  readonly stream: boolean
  readonly messages: readonly ModelMessage[]
  /** Names of the tools that the model may call. */
  readonly tools: readonly string[]
  /** The body as it came. */
  readonly body: unknown
}

export interface ToolCall {
  readonly name: string
  readonly input: unknown
  /** Made from the request's place where absent, so that a repeated request gets the same. */
  readonly id?: string
}

/** What the model answers: text, then tool calls; with calls the agent comes back with their results. */
export interface ModelAnswer {
  readonly text?: string
  readonly tools?: readonly ToolCall[]
  /** Called before each piece of text is streamed: a test can hold the stream here. */
  readonly beforePiece?: (index: number) => Promise<void> | void
  /** An HTTP status instead of an answer, as an overloaded model gives. */
  readonly status?: number
}

export type Script = (request: ModelRequest) => ModelAnswer | Promise<ModelAnswer>

/** One wire format: how a request is read and an answer is written. A new one is one file and its name in the endpoint's list. */
export interface ModelFormat {
  readonly name: string
  readonly path: string
  parse(body: unknown): ModelRequest
  /** The answer as one JSON document. */
  document(answer: ModelAnswer, request: ModelRequest, ids: AnswerIds): unknown
  /** The answer as the texts of a `text/event-stream`. */
  stream(answer: ModelAnswer, request: ModelRequest, ids: AnswerIds): AsyncIterable<string>
}

/** Ids of one answer, unique in the endpoint. */
export interface AnswerIds {
  readonly message: string
  tool(index: number): string
}

const PIECE_LENGTH = 12
const MAX_PIECES = 200

/** A text in the pieces that it is streamed in: short ones, but not thousands. */
export function piecesOf(text: string): string[] {
  const characters = [...text]
  const length = Math.max(PIECE_LENGTH, Math.ceil(characters.length / MAX_PIECES))
  const pieces: string[] = []
  for (let at = 0; at < characters.length; at += length) pieces.push(characters.slice(at, at + length).join(''))
  return pieces
}

/** How many tokens a real model might count; only for the usage that answers carry. */
export const tokensOf = (value: unknown): number => Math.ceil(JSON.stringify(value ?? '').length / 4)
