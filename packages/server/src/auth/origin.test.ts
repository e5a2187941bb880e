import { HoldfastError } from '@holdfast/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { authorityFromText, authorityText } from './host.ts'
import { checkHost, checkOrigin, loopbackOrigins, originFrom, originFromText } from './origin.ts'

const PORT = 8765
const plain = { port: PORT, allowed: [] }

const refused = (act: () => unknown) => {
  try {
    act()
  } catch (error) {
    return error instanceof HoldfastError ? error.code : error
  }
  return 'passed'
}

describe('Host', () => {
  test.each([
    'localhost:8765',
    'LOCALHOST:8765',
    'LocalHost:8765',
    '127.0.0.1:8765',
    '127.0.0.53:8765',
    '127.255.255.254:8765',
    '[::1]:8765',
    '[0:0:0:0:0:0:0:1]:8765',
  ])('[OPS-02] %s is answered', host => {
    expect(checkHost(host, plain).isAllowed).toBe(false)
  })

  test.each([
    undefined,
    '',
    ' ',
    'evil.com:8765',
    'localhost.evil.com:8765',
    '127.0.0.1.evil.com:8765',
    '127.0.0.1.nip.io:8765',
    'evil.localhost:8765',
    'evil-localhost:8765',
    'localhost.:8765',
    '127.0.0.1.:8765',
    '.localhost:8765',
    'local\u0068ost\u0000:8765',
    'l\u00f6calhost:8765',
    'user@localhost:8765',
    'localhost:8765@evil.com',
    'localhost:8765, evil.com',
    'localhost:8765,localhost:8765',
    ' localhost:8765',
    'localhost:8765 ',
    'localhost :8765',
    'localhost:8765/',
    'localhost:8765?x',
    'localhost:8765#x',
    'localhost\\:8765',
    'http://localhost:8765',
    'localhost:08765x',
    'localhost:',
    'localhost:0',
    'localhost:-1',
    'localhost:65536',
    'localhost:99999999',
    'localhost:8765:8765',
    '::1',
    '::1:8765',
    '[::1',
    '[::1%25lo]:8765',
    '[::1%lo]:8765',
    '[::ffff:127.0.0.1]:8765',
    '[::]:8765',
    '[::2]:8765',
    '[localhost]:8765',
    '[127.0.0.1]:8765',
    '0.0.0.0:8765',
    '127.1:8765',
    '127.0.0.01:8765',
    '127.0.0.256:8765',
    '0x7f.0.0.1:8765',
    '0x7f000001:8765',
    '2130706433:8765',
    '128.0.0.1:8765',
    '192.168.1.5:8765',
    'null',
    '*',
    `${'a'.repeat(300)}.com:8765`,
  ])('[OPS-02] %j is refused', host => {
    expect(refused(() => checkHost(host, plain))).toBe('origin_rejected')
  })

  test.each(['localhost', 'localhost:80', 'localhost:8766', '127.0.0.1', '127.0.0.1:9', '[::1]', '[::1]:8766'])(
    '[OPS-06] %s is answered: a forwarded port is another one',
    host => {
      expect(checkHost(host, plain).isAllowed).toBe(false)
    },
  )

  test('[OPS-06] an allowed host passes with its port, with the port of the server, and with any where none is named', () => {
    const rules = {
      port: PORT,
      allowed: [
        { name: 'box.lan', port: 9000 },
        { name: 'any.lan', port: null },
        { name: 'app.example', port: 443 },
        { name: '2001:db8::5', port: null },
      ],
    }
    for (const host of [
      'box.lan:9000',
      'BOX.lan:9000',
      'box.lan:8765',
      'any.lan',
      'any.lan:1',
      'app.example',
      'app.example:443',
      '[2001:db8::5]:1',
      '[2001:DB8:0::5]:1',
    ]) {
      expect(checkHost(host, rules).isAllowed, host).toBe(true)
    }
    for (const host of [
      'box.lan',
      'box.lan:9001',
      'a.box.lan:9000',
      'box.lan.evil.com:9000',
      'app.example:8443',
      'app.example.',
      '[2001:db8::6]:1',
      '2001:db8::5',
    ]) {
      expect(
        refused(() => checkHost(host, rules)),
        host,
      ).toBe('origin_rejected')
    }
  })

  test('[OPS-06] a forwarded port that is allowed makes its pages own ones, others stay only answered', () => {
    const rules = { port: PORT, allowed: [{ name: 'localhost', port: 9000 }] }
    expect(checkHost('localhost:9000', rules).isAllowed).toBe(true)
    expect(checkHost('localhost:9001', rules).isAllowed).toBe(false)
    expect(checkHost('127.0.0.1:9000', rules).isAllowed).toBe(false)
  })

  test('[OPS-02] whatever passes is exactly a loopback name, with or without a port', () => {
    const piece = fc.constantFrom(
      'localhost',
      '127.0.0.1',
      '[::1]',
      '::1',
      '.',
      ':',
      '8765',
      '@',
      'evil.com',
      ',',
      ' ',
      '%',
      '/',
      '\\',
      '\t',
      '\0',
      '0',
      'LOCALHOST',
      '[',
      ']',
      '-',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 6 }).map(parts => parts.join('')),
        ),
        text => {
          if (refused(() => checkHost(text, plain)) === 'passed')
            expect(text.toLowerCase()).toMatch(/^(localhost|127\.\d+\.\d+\.\d+|\[(0:)*:?:?1\])(:\d{1,5})?$/)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test.each(['127.1', '1', '0x7f.1', '0x7f000001', '2130706433', 'evil.com.1', '1.2.3.4.5', '127.0.0.01'])(
    '[OPS-02] %s is no name: resolvers may read it as a number',
    text => {
      expect(authorityFromText(text)).toBeUndefined()
    },
  )

  test('[OPS-02] what is read is written back the same', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.domain(),
          fc.ipV4(),
          fc.ipV6().map(address => `[${address}]`),
        ),
        fc.option(fc.integer({ min: 1, max: 65_535 })),
        (name, port) => {
          const authority = authorityFromText(port === null ? name : `${name}:${port}`)
          if (!authority) return
          expect(authorityFromText(authorityText(authority, false))).toEqual({ ...authority, port: port === 80 ? null : port })
        },
      ),
    )
  })
})

describe('Origin', () => {
  const own = loopbackOrigins('127.0.0.1', PORT, false)

  test('[OPS-02] no Origin passes, and the own ones do', () => {
    expect(own).toEqual(['http://localhost:8765', 'http://127.0.0.1:8765'])
    checkOrigin(undefined, own, [])
    for (const origin of own) checkOrigin(origin, own, [])
  })

  test.each([
    '',
    'null',
    'NULL',
    'http://localhost',
    'http://localhost:8766',
    'http://localhost:80',
    'https://localhost:8765',
    'ws://localhost:8765',
    'http://localhost:8765/',
    'http://localhost:8765.evil.com',
    'http://localhost.evil.com:8765',
    'http://127.0.0.1.evil.com:8765',
    'http://evil.com',
    'http://evil.com:8765',
    'http://localhost:87650',
    'http://user@localhost:8765',
    'http://localhost:8765@evil.com',
    'http://[::1]:8765',
    'http://127.0.0.2:8765',
    'HTTP://localhost:8765',
    'http://LOCALHOST:8765',
    ' http://localhost:8765',
    'http://localhost:8765 http://evil.com',
    'http://localhost:8765, http://evil.com',
    'http://localhost:8765,http://localhost:8765',
    'localhost:8765',
    'file://',
    'chrome-extension://abcdefghijklmnop',
  ])('[OPS-02] %j is refused', origin => {
    expect(refused(() => checkOrigin(origin, own, []))).toBe('origin_rejected')
  })

  test('[OPS-02] `null` is refused even where a list holds it', () => {
    expect(refused(() => checkOrigin('null', ['null'], ['null']))).toBe('origin_rejected')
  })

  test('[OPS-06] allowed origins pass, exactly', () => {
    const allowed = ['https://app.example', 'http://dev.example:5173', 'tauri://localhost']
    for (const origin of allowed) checkOrigin(origin, own, allowed)
    for (const origin of ['https://app.example:8443', 'http://app.example', 'https://a.app.example', 'http://dev.example', 'tauri://localhost:1']) {
      expect(
        refused(() => checkOrigin(origin, own, allowed)),
        origin,
      ).toBe('origin_rejected')
    }
  })

  test('[OPS-02] the own origins follow the listening address, its port and TLS', () => {
    expect(loopbackOrigins('localhost', 80, false)).toEqual(['http://localhost', 'http://127.0.0.1', 'http://[::1]'])
    expect(loopbackOrigins('::', 443, true)).toEqual(['https://localhost', 'https://127.0.0.1', 'https://[::1]'])
    expect(loopbackOrigins('::1', 1, true)).toEqual(['https://localhost:1', 'https://[::1]:1'])
    expect(loopbackOrigins('127.0.0.9', 1, false)).toEqual(['http://127.0.0.9:1'])
    expect(loopbackOrigins('192.168.1.5', 1, false)).toEqual([])
    expect(originFrom({ name: '::1', port: 443 }, false)).toBe('http://[::1]:443')
  })

  test('[OPS-06] a setting is read as browsers write the origin', () => {
    expect(originFromText('HTTPS://App.Example:443/')).toBe('https://app.example')
    expect(originFromText('http://localhost:5173')).toBe('http://localhost:5173')
    expect(originFromText('tauri://localhost')).toBe('tauri://localhost')
    for (const text of [
      '*',
      'null',
      '',
      'app.example',
      'https://',
      'https://*.example',
      'https://a/b',
      'https://u@a',
      'https://a?x',
      'https://a:0',
      'file:///x',
    ])
      expect(originFromText(text), text).toBeUndefined()
  })
})
