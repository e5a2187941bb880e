export { check, RULES, type Rule, type Violation } from './check.ts'
export { hashBytes, hashText } from './hash.ts'
export { createHistory, type FinalLog, type HelloResume, type History, type Reader, type SentInput, STEP } from './history.ts'
