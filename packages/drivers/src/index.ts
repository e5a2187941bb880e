export { runDriver } from './run/run-driver.ts'
export type { ExecPolicy } from './terminal/options.ts'
export { bytesFromPayload } from './terminal/output-events.ts'
export { createTerminalDriver, type TerminalDriverOptions } from './terminal/terminal-driver.ts'
