import type { AddressInfo } from 'node:net'
import net from 'node:net'
import tls from 'node:tls'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { startServer, tempDir, until } from '../lib/process.ts'
import { makeCertificate } from './lib/certificate.ts'
import { holdfast } from './lib/cli.ts'
import { call, codeOf, createRun, item, must, type Target } from './lib/client.ts'
import { isDense, THREE, type Three, watch } from './lib/watch.ts'

// Processes start and stop many times, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000 })

const PUBLIC = 'agents.example.com'
const TOKEN = 'tok-of-admin-0123456789abcdef0123456789abcdef'

/** Posts, and reads on every transport, from the start and from a cursor. */
async function expectAllTransports(target: Target): Promise<void> {
  await createRun(target, 's')
  for (let n = 0; n < 3; n++) await must(target, 'POST', '/sessions/s/events', [item(`i${n}`, 'x')])
  const readers = THREE.map(transport => watch(transport, { ...target, session: 's' }))
  await until('the readers', () => readers.every(reader => reader.seqs.length === 3))
  await must(target, 'POST', '/sessions/s/events', [item('live', 'x')])
  await until('the live event', () => readers.every(reader => reader.seqs.length === 4 && isDense(reader.seqs, 1)))
  for (const reader of readers) {
    const again = watch(reader.transport, { ...target, session: 's', cursor: `${String(reader.hello?.['epoch'])}.2` })
    await until(`${reader.transport} from a cursor`, () => again.seqs.length === 2)
    expect(again.seqs).toEqual([3, 4])
    again.close()
    reader.close()
  }
}

/** What each transport answers: a status or a close code; 0 for one that is attached, -1 for a connection that broke. */
async function refusalOf(transport: Three, target: Target, headers: Readonly<Record<string, string>>): Promise<number> {
  const reader = watch(transport, { ...target, headers: { ...target.headers, ...headers }, session: 's' })
  await until(`${transport} with ${JSON.stringify(headers)}`, () => reader.ended ?? reader.hello ?? reader.caughtUp)
  reader.close()
  return reader.ended ? reader.ended.code || -1 : 0
}

const refusals = (target: Target, headers: Readonly<Record<string, string>>): Promise<number[]> =>
  Promise.all(THREE.map(transport => refusalOf(transport, target, headers)))

describe('TLS of its own', () => {
  it('[OPS-06] [OPS-02] every transport works over https and wss; foreign hosts and origins are refused there too, plain http is not answered', async context => {
    const certificate = makeCertificate([])
    if ('missing' in certificate) return context.skip(certificate.missing)
    const server = await startServer({ args: ['--tls-cert', certificate.certPath, '--tls-key', certificate.keyPath] })
    expect(server.url).toBe(`https://127.0.0.1:${server.port}`)
    const target: Target = { url: server.url, ca: certificate.cert }
    await expectAllTransports(target)
    for (const host of ['evil.example', `evil.example:${server.port}`, `127.0.0.1.evil.example:${server.port}`])
      expect(await refusals(target, { host }), host).toEqual([403, 403, 403])
    for (const origin of ['https://evil.example', `http://127.0.0.1:${server.port}`, 'null', `https://127.0.0.1:${server.port + 1}`])
      expect(await refusals(target, { origin }), origin).toEqual([403, 403, 403])
    expect(codeOf(await call(target, 'GET', '/sessions', undefined, { host: 'evil.example' }))).toBe('origin_rejected')
    for (const origin of [`https://127.0.0.1:${server.port}`, `https://localhost:${server.port}`])
      expect(await refusals(target, { origin }), origin).toEqual([0, 0, 0])
    await expect(call({ url: `http://127.0.0.1:${server.port}` }, 'GET', '/healthz')).rejects.toThrow()
    await expect(call({ url: server.url }, 'GET', '/healthz'), 'unless the certificate is trusted').rejects.toThrow(/self.signed/)
    // Readers are told over TLS as they are without it.
    const readers = (['ws', 'sse'] as const).map(transport => watch(transport, { ...target, session: 's' }))
    await until('the readers', () => readers.every(reader => reader.caughtUp))
    expect(await server.stop()).toBe(0)
    expect(readers.map(reader => reader.ended?.code)).toEqual([1001, 200])
  })

  it('[OPS-06] half a pair is wrong usage, a certificate that is none a failed start that says so', async context => {
    const certificate = makeCertificate([])
    if ('missing' in certificate) return context.skip(certificate.missing)
    const half = await holdfast(['serve', '--data-dir', tempDir(), '--tls-cert', certificate.certPath])
    expect([half.code, half.err]).toEqual([2, expect.stringContaining('--tls-key')])
    for (const [cert, key] of [
      [certificate.keyPath, certificate.certPath],
      [certificate.certPath, '/nowhere/key.pem'],
    ] as const) {
      const wrong = await holdfast(['serve', '--port', '0', '--data-dir', tempDir(), '--tls-cert', cert, '--tls-key', key])
      expect([wrong.code > 0, wrong.err.length > 10], wrong.err).toEqual([true, true])
    }
  })
})

describe('behind a proxy', () => {
  /** Takes TLS off and passes all else on as it is, as a tunnel does. */
  async function terminator(certificate: { readonly cert: string; readonly key: string }, port: number): Promise<string> {
    const server = tls.createServer(certificate, outside => {
      const inside = net.connect(port, '127.0.0.1')
      outside.pipe(inside).pipe(outside)
      outside.on('error', () => inside.destroy())
      inside.on('error', () => outside.destroy())
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  it('[OPS-06] [OPS-02] under its public URL every transport works with a token through a tunnel that takes TLS off; other hosts and origins are refused', async context => {
    const certificate = makeCertificate([PUBLIC])
    if ('missing' in certificate) return context.skip(certificate.missing)
    const server = await startServer({ args: ['--public-url', `https://${PUBLIC}`, '--token', TOKEN] })
    const url = await terminator(certificate, server.port)
    const target: Target = { url, ca: certificate.cert, headers: { host: PUBLIC, authorization: `Bearer ${TOKEN}` } }
    await expectAllTransports(target)
    expect(await refusals(target, { origin: `https://${PUBLIC}` })).toEqual([0, 0, 0])
    expect(await refusals(target, { origin: `https://${PUBLIC}:8443` })).toEqual([403, 403, 403])
    expect(await refusals(target, { origin: `https://evil.${PUBLIC}` })).toEqual([403, 403, 403])
    expect(await refusals(target, { host: 'evil.example' })).toEqual([403, 403, 403])
    expect(await refusals(target, { authorization: '' }), 'no token, no entry').toEqual([4401, 401, 401])
    expect(await server.stop()).toBe(0)
  })

  it('[OPS-06] [OPS-01] a trusted proxy says who asks and how; headers of one that is not trusted change nothing', async () => {
    const proxied = { 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'https', 'x-forwarded-host': PUBLIC }
    const trusting = await startServer({ args: ['--public-url', `https://${PUBLIC}`, '--trust-proxy', '--token', TOKEN] })
    const target: Target = { url: trusting.url, headers: { ...proxied, authorization: `Bearer ${TOKEN}` } }
    await expectAllTransports(target)
    expect(await refusals(target, { origin: `https://${PUBLIC}` })).toEqual([0, 0, 0])
    expect(await refusals(target, { 'x-forwarded-host': 'evil.example' })).toEqual([403, 403, 403])
    expect(await refusals(target, { authorization: '' })).toEqual([4401, 401, 401])
    expect(await trusting.stop()).toBe(0)

    // Tokenless loopback, with a proxy in front that passes strangers on: who came from elsewhere is not local.
    const local = await startServer({ args: ['--trust-proxy'] })
    await createRun({ url: local.url }, 's')
    expect(await refusals({ url: local.url }, { 'x-forwarded-for': '203.0.113.7' })).toEqual([4401, 401, 401])
    expect(await refusals({ url: local.url }, { 'x-forwarded-host': PUBLIC })).toEqual([403, 403, 403])
    expect(await refusals({ url: local.url }, {})).toEqual([0, 0, 0])
    expect(await local.stop()).toBe(0)

    const plain = await startServer()
    await createRun({ url: plain.url }, 's')
    expect(
      await refusals({ url: plain.url }, { 'x-forwarded-host': `127.0.0.1:${plain.port}`, host: 'evil.example' }),
      'a page can not talk its way in',
    ).toEqual([403, 403, 403])
    expect(await plain.stop()).toBe(0)
  })
})
