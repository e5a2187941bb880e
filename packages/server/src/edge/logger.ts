import type { Logger } from '@holdfast/core'
import { pino } from 'pino'

type Fields = Readonly<Record<string, unknown>>

/** Logs to stderr, stdout being for what was asked for: one JSON object a line, or plain text for people. */
export function createLogger(level: 'debug' | 'info' | 'warn' | 'error', format: 'json' | 'text'): Logger {
  const log = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: label => ({ level: label }) } },
    format === 'json' ? pino.destination({ dest: 2, sync: true }) : textStream,
  )
  return {
    debug: (message, fields) => log.debug(fields ?? {}, message),
    info: (message, fields) => log.info(fields ?? {}, message),
    warn: (message, fields) => log.warn(fields ?? {}, message),
    error: (message, fields) => log.error(fields ?? {}, message),
  }
}

/** `12:00:00 warn message key=value`. */
const textStream = {
  write(line: string): void {
    const { time, level, msg, ...fields } = JSON.parse(line) as { time: string; level: string; msg: string } & Fields
    const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    process.stderr.write(`${time.slice(11, 19)} ${level.padEnd(5)} ${msg}${rest.join('')}\n`)
  },
}
