import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ERRORS, type ErrorCode, errorFrom, HoldfastError, isErrorCode } from './errors.ts'

/** The contract's list (section 6), written out once more so that a slip in the table shows. */
const CONTRACT: Record<string, number | null> = {
  invalid_request: 400,
  invalid_cursor: 400,
  id_mismatch: 400,
  unauthorized: 401,
  forbidden: 403,
  origin_rejected: 403,
  not_found: 404,
  not_finished: 404,
  no_result: 404,
  conflict: 409,
  busy: 409,
  session_ended: 409,
  session_expired: 410,
  session_deleted: 410,
  too_large: 413,
  unsupported_media_type: 415,
  invalid_transcript: 422,
  unsupported_version: 426,
  rate_limited: 429,
  slow_consumer: null,
  internal: 500,
  backend_failed: 502,
  storage_failed: 503,
  draining: 503,
}

const docs = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
const rows = [...docs.matchAll(/^\| `(\w+)` \| (\w+) \| (\d+) \| (yes|no) \| (.*?) \| (.*?) \|$/gm)]

test('the table holds the codes of the contract with their status', () => {
  expect(Object.fromEntries(Object.entries(ERRORS).map(([code, rule]) => [code, rule.status]))).toEqual(CONTRACT)
})

test('docs/errors.md says the same as the table, row by row, in both directions', () => {
  const documented = rows.map(([, code, status, close, retry, meaning]) => ({ code, status, close, retry, meaning }))
  const inCode = Object.entries(ERRORS).map(([code, rule]) => ({
    code,
    status: String(rule.status ?? 'none'),
    close: String(rule.close),
    retry: rule.retryable ? 'yes' : 'no',
    meaning: rule.meaning,
  }))
  expect(documented).toEqual(inCode)
  for (const [, , , , , , reaction] of rows) expect(reaction).not.toBe('')
})

test('close codes are 4000 + status, slow_consumer 4408', () => {
  for (const rule of Object.values(ERRORS)) expect(rule.close).toBe(4000 + (rule.status ?? 408))
})

test.each(Object.keys(ERRORS) as ErrorCode[])('%s carries its rule and its body', code => {
  const error = new HoldfastError(code, 'why', { field: 'x' })
  expect(error.body()).toEqual({ code, message: 'why', retryable: ERRORS[code].retryable, details: { field: 'x' } })
  expect(error.closeCode).toBe(ERRORS[code].close)
  expect(error.status).toBe(ERRORS[code].status ?? 400)
})

test('whatever else is thrown reads as internal, keeps its cause and tells nothing of it', () => {
  const cause = new Error('secret detail')
  const error = errorFrom(cause)
  expect(error.code).toBe('internal')
  expect(error.cause).toBe(cause)
  expect(JSON.stringify(error.body())).not.toContain('secret')
  const own = new HoldfastError('busy', 'x')
  expect(errorFrom(own)).toBe(own)
})

test('isErrorCode knows own codes only', () => {
  expect(isErrorCode('busy')).toBe(true)
  for (const other of ['toString', '__proto__', 'nope', 404, null]) expect(isErrorCode(other)).toBe(false)
})
