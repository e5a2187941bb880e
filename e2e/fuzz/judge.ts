import { ERRORS, type ErrorCode, textsFromFrame } from '@holdfast/protocol'

/** Why an answer breaks the contract (section 6), or undefined: no 5xx but those that may pass, and a typed body with each refusal. */
export function faultOfAnswer(method: string, status: number, contentType: string, body: string): string | undefined {
  if (status >= 200 && status < 300)
    return contentType.startsWith('application/json') && body !== '' && !isJson(body) ? `${status} with broken JSON` : undefined
  if (status < 400) return `status ${status}`
  if (method === 'HEAD') return status === 500 ? 'status 500' : undefined
  return faultOfRefusal(status, body)
}

function faultOfRefusal(status: number, body: string): string | undefined {
  let code: unknown
  try {
    const { error } = JSON.parse(body) as { error: Record<string, unknown> }
    code = error.code
    if (typeof error.message !== 'string' || typeof error.retryable !== 'boolean' || typeof error.details !== 'object')
      return `an incomplete error: ${body.slice(0, 200)}`
  } catch {
    return `status ${status} without a typed body: ${body.slice(0, 200)}`
  }
  if (typeof code !== 'string' || !Object.hasOwn(ERRORS, code)) return `the code ${String(code)} is in no table`
  if (code === 'internal') return `internal: ${body}`
  return ERRORS[code as ErrorCode].status === status ? undefined : `${code} with status ${status}`
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** The same for all that a bare connection got: answers one after the other. */
export function faultOfBytes(received: Buffer): string | undefined {
  let rest = received
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n')
    const head = rest.subarray(0, end < 0 ? undefined : end).toString('latin1')
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
    if (Number.isNaN(status)) return `no answer: ${JSON.stringify(head.slice(0, 100))}`
    if (end < 0) return undefined
    rest = rest.subarray(end + 4)
    if (status === 101) return faultOfFrames(rest)
    if (status === 100) continue
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN)
    // A stream, or one that was left in the middle.
    if (Number.isNaN(length) || rest.length < length) return status >= 500 ? `status ${status}` : undefined
    const fault = status >= 400 ? faultOfRefusal(status, rest.subarray(0, length).toString()) : undefined
    if (fault !== undefined) return fault
    rest = rest.subarray(length)
  }
  return undefined
}

const isCloseCode = (code: number): boolean =>
  [1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009].includes(code) || (code !== ERRORS.internal.close && Object.values(ERRORS).some(rule => rule.close === code))

/** Frames of the server: unmasked, of whole messages with types; errors of the table, closes with its codes. */
function faultOfFrames(bytes: Buffer): string | undefined {
  for (let at = 0; at + 2 <= bytes.length; ) {
    const [first, second] = [bytes[at] as number, bytes[at + 1] as number]
    const short = second & 0x7f
    const size = short < 126 ? 2 : short === 126 ? 4 : 10
    if (at + size > bytes.length) return undefined
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
    if ((second & 0x80) !== 0 || (first & 0x70) !== 0) return `a masked or reserved frame at ${at}`
    if (at + size + length > bytes.length) return undefined
    const payload = bytes.subarray(at + size, at + size + length)
    const fault = faultOfFrame(first & 15, payload)
    if (fault !== undefined) return fault
    at += size + length
  }
  return undefined
}

function faultOfFrame(opcode: number, payload: Buffer): string | undefined {
  if (opcode === 8) return payload.length >= 2 && !isCloseCode(payload.readUInt16BE(0)) ? `closed with ${payload.readUInt16BE(0)}` : undefined
  if (opcode === 9 || opcode === 10) return undefined
  const texts = opcode === 2 ? textsFromFrame(payload) : [payload.toString()]
  for (const text of texts) {
    if (!isJson(text)) return `broken JSON in a frame: ${text.slice(0, 100)}`
    const { type, payload: body } = JSON.parse(text) as { type: string; payload: { code?: string } }
    if (type === 'protocol.error' && (!Object.hasOwn(ERRORS, body.code ?? '') || body.code === 'internal')) return `protocol.error ${text.slice(0, 300)}`
  }
  return undefined
}
