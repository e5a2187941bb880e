export { type ModelEndpoint, type ModelEndpointOptions, startModelEndpoint } from './endpoint.ts'
export type { ModelAnswer, ModelMessage, ModelRequest, Script, ToolCall } from './model.ts'
export { promptOf, sayWhatWasSeen, scriptByPrompt, seenOf, stepOf } from './script.ts'
