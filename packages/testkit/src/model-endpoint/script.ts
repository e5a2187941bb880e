import type { ModelAnswer, ModelMessage, ModelRequest, Script } from './model.ts'

const isPrompt = (message: ModelMessage): boolean => message.role === 'user' && message.toolResults.length === 0 && message.text !== ''

/** The newest prompt of a person in a request; empty where there is none. */
export const promptOf = (request: ModelRequest): string => request.messages.findLast(isPrompt)?.text ?? ''

/** How many answers the newest prompt has got already: 0 for the first step of a turn. */
export function stepOf(request: ModelRequest): number {
  const at = request.messages.findLastIndex(isPrompt)
  return request.messages.slice(at + 1).filter(message => message.role === 'assistant').length
}

/** How many messages of the user and the assistant a request carries: what the model remembers. */
export const seenOf = (request: ModelRequest): number => request.messages.filter(message => message.role === 'user' || message.role === 'assistant').length

/** Answers `saw-N`, N being what the model remembers, and the prompt. */
export const sayWhatWasSeen: Script = request => ({ text: `saw-${seenOf(request)} ${promptOf(request)}`.trim() })

/**
 * A script by prompts: the steps of the first key that the newest prompt contains, one for each request of the turn, then `saw-N`.
 * It keeps no state, so that a request that an agent repeats gets the same answer.
 */
export function scriptByPrompt(turns: Readonly<Record<string, readonly ModelAnswer[]>>): Script {
  return request => {
    const prompt = promptOf(request)
    const steps = Object.entries(turns).find(([key]) => prompt.includes(key))?.[1]
    return steps?.[stepOf(request)] ?? sayWhatWasSeen(request)
  }
}
