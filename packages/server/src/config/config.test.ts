import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_LIMITS, type Limits } from '@holdfast/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Config, type ConfigSources, loadConfig, redacted } from './config.ts'
import { ConfigError } from './config-error.ts'
import { printDefaults } from './print-defaults.ts'
import { readTextFile } from './read-file.ts'
import { SECTIONS, SETTINGS } from './settings.ts'

const DEFAULT_FILE = '/home/ann/.holdfast/holdfast.toml'

type Case = Partial<Omit<ConfigSources, 'readFile'>> & { readonly files?: Readonly<Record<string, string>>; readonly toml?: string }

const load = ({ files = {}, toml, ...rest }: Case = {}): Config => {
  const all: Record<string, string> = { ...files, ...(toml === undefined ? {} : { [DEFAULT_FILE]: toml }) }
  return loadConfig({ home: '/home/ann', cwd: '/srv', readFile: path => all[path], ...rest })
}

const problemsOf = (parts: Case): readonly string[] => {
  try {
    load(parts)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('defaults', () => {
  test('[OPS-01] loopback, port 8765, no token, nothing trusted', () => {
    expect(load().serve).toEqual({
      host: '127.0.0.1',
      port: 8765,
      data_dir: '/home/ann/.holdfast',
      durability: 'full',
      token: null,
      allow_origin: [],
      allow_host: [],
      public_url: null,
      trust_proxy: false,
      tls_cert: null,
      tls_key: null,
    })
  })

  test('[OPS-03] limits, times and keeping are those of the contract', () => {
    const config = load()
    const limits: Limits = config.limits
    expect(limits).toEqual(DEFAULT_LIMITS)
    expect(config.times).toMatchObject({ heartbeat_ms: 10_000, silence_ms: 25_000, stall_ms: 30_000, auth_ms: 2000, drain_ms: 10_000, sweep_ms: 60_000 })
    expect(config.tail).toEqual({ session_bytes: 1 << 20, total_bytes: 64 << 20 })
    const all = { max_age_ms: null, max_bytes: null, max_events: null }
    expect(config.retention).toEqual({
      chat: all,
      run: all,
      terminal: { ...all, max_bytes: 50 << 20 },
      ui: { ...all, max_events: 10_000 },
      feed: { ...all, max_events: 100_000 },
    })
    expect(config.idle_expiry_ms).toEqual({ chat: null, terminal: 86_400_000, ui: null, run: null })
  })

  test('[OPS-05] the printed file gives the defaults again, names every setting with a comment, and its variable', () => {
    const text = printDefaults()
    expect(load({ toml: text })).toEqual(load())
    const lines = text.split('\n')
    for (const { path, env, description } of SETTINGS) {
      const at = lines.indexOf(`# ${description} (${env})`)
      expect(at, env).toBeGreaterThan(0)
      expect(lines[at + 1]).toMatch(new RegExp(`^${path.at(-1)} = `))
      expect(description).toMatch(/\.$/)
    }
    for (const section of SECTIONS) expect(section.description, section.key).not.toBe('')
  })

  test('[OPS-05] every line of the printed file is read: with another value it gives another configuration', () => {
    const lines = printDefaults().split('\n')
    for (const { path, key } of SETTINGS) {
      const start = lines.indexOf(`[${path.slice(0, -1).join('.')}]`)
      const at = lines.findIndex((line, i) => i > start && line.startsWith(`${path.at(-1)} = `))
      const changed = lines.with(at, `${path.at(-1)} = "/%"`).join('\n')
      const problems = problemsOf({ toml: changed })
      const isPath = ['serve.data_dir', 'serve.tls_cert', 'serve.tls_key', 'serve.token'].includes(key)
      if (path[0] === 'exec') expect(load({ toml: changed }).exec, key).toMatchObject({ [path.at(-1) ?? '']: ['/%'] })
      else if (!isPath) expect(problems.join(), key).toContain(`${key}: `)
      else if (key === 'serve.token') expect(load({ toml: changed }).serve.token).toBe('/%')
      else expect(problems.join(), key).toContain(key)
    }
  })

  test('[OPS-03] no two settings share a variable, and every default passes its own check', () => {
    expect(new Set(SETTINGS.map(setting => setting.env)).size).toBe(SETTINGS.length)
    for (const { key, parse, fallback } of SETTINGS) expect(parse(fallback ?? (key.startsWith('serve.') ? '' : 'none')), key).toEqual({ value: fallback })
  })

  test('[OPS-03] a configuration cannot be changed afterwards', () => {
    const config = load()
    expect(() => Object.assign(config.serve, { token: 'x' })).toThrow(TypeError)
    expect(() => (config.serve.allow_host as string[]).push('x')).toThrow(TypeError)
    expect(load().serve.allow_host).toEqual([])
  })
})

describe('sources', () => {
  const file = '[serve]\nport = 1\ntoken = "file"\n[times]\nheartbeat_ms = "2s"\n[limits]\nsessions = 5\nevent_bytes = "10 KiB"\n'

  test('[OPS-05] later wins: defaults, file, environment, flags', () => {
    expect(load({ toml: file })).toMatchObject({
      serve: { port: 1, token: 'file' },
      times: { heartbeat_ms: 2000 },
      limits: { sessions: 5, event_bytes: 10_240 },
    })
    const env = { HOLDFAST_SERVE_PORT: '2', HOLDFAST_TIMES_HEARTBEAT_MS: '3s', HOLDFAST_LIMITS_SESSIONS: '6' }
    expect(load({ toml: file, env })).toMatchObject({ serve: { port: 2, token: 'file' }, times: { heartbeat_ms: 3000 }, limits: { sessions: 6 } })
    expect(load({ toml: file, env, flags: { port: '3', token: undefined } })).toMatchObject({ serve: { port: 3, token: 'file' } })
    expect(load({ toml: file, env: { HOLDFAST_SERVE_TOKEN: 'env' }, flags: { token: 'flag' } }).serve.token).toBe('flag')
  })

  test('[OPS-05] nested tables have variables too, and "none" keeps all', () => {
    const env = { HOLDFAST_RETENTION_CHAT_MAX_BYTES: '1GiB', HOLDFAST_IDLE_EXPIRY_MS_TERMINAL: 'none', HOLDFAST_RETENTION_FEED_MAX_EVENTS: '7' }
    const config = load({ env })
    expect([config.retention.chat.max_bytes, config.idle_expiry_ms.terminal, config.retention.feed.max_events]).toEqual([1024 ** 3, null, 7])
  })

  test('[OPS-05] the variables of clients and hooks are not the server’s', () => {
    expect(load({ env: { HOLDFAST_URL: 'x', HOLDFAST_TOKEN: 'client', HOLDFAST_SPOOL: 'x', HOLDFAST_ANYTHING: 'x', PATH: 'x' } })).toEqual(load())
  })

  test('[OPS-05] an empty variable counts as absent, but an empty token must not open the server', () => {
    expect(load({ env: { HOLDFAST_SERVE_PORT: '', HOLDFAST_DATA_DIR: '' } })).toEqual(load())
    expect(problemsOf({ env: { HOLDFAST_SERVE_TOKEN: '' } })).toEqual(['HOLDFAST_SERVE_TOKEN is empty: unset it, or give a token'])
    expect(problemsOf({ flags: { token: '' } })).toEqual(['--token is empty: leave it out, or give a token'])
  })

  test('[OPS-05] the data folder: flag, then the variables, then home; its file is read from there', () => {
    const files = {
      '/a/holdfast.toml': '[serve]\nport = 1',
      '/b/holdfast.toml': '[serve]\nport = 2',
      '/srv/c/holdfast.toml': '[serve]\nport = 3',
      '/home/ann/d/holdfast.toml': '[serve]\nport = 4',
    }
    const env = { HOLDFAST_DATA_DIR: '/a' }
    expect(load({ files, env }).serve).toMatchObject({ data_dir: '/a', port: 1 })
    expect(load({ files, env: { ...env, HOLDFAST_SERVE_DATA_DIR: '/b' } }).serve).toMatchObject({ data_dir: '/b', port: 2 })
    expect(load({ files, env, flags: { data_dir: 'c' } }).serve).toMatchObject({ data_dir: '/srv/c', port: 3 })
    expect(load({ files, env, flags: { data_dir: '~/d' } }).serve).toMatchObject({ data_dir: '/home/ann/d', port: 4 })
  })

  test('[OPS-05] --config replaces the file of the data folder and may name that folder; it must exist', () => {
    const files = { [DEFAULT_FILE]: '[serve]\nport = 1', '/srv/my.toml': '[serve]\ndata_dir = "~/x"\ntls_cert = "c.pem"\ntls_key = "/k.pem"' }
    expect(load({ files, flags: { config: 'my.toml' } }).serve).toMatchObject({
      port: 8765,
      data_dir: '/home/ann/x',
      tls_cert: '/srv/c.pem',
      tls_key: '/k.pem',
    })
    expect(problemsOf({ flags: { config: 'no.toml' } })).toEqual(['/srv/no.toml: there is no such file (--config)'])
    expect(problemsOf({ toml: '[serve]\ndata_dir = "/elsewhere"' })[0]).toContain('names another folder')
    expect(load({ toml: '[serve]\ndata_dir = "~/.holdfast"' }).serve.data_dir).toBe('/home/ann/.holdfast')
  })

  test('[OPS-06] lists come from arrays, repeated flags and commas, canonical and once each', () => {
    const expected = ['https://a.example', 'http://b.example:5173']
    expect(load({ toml: '[serve]\nallow_origin = ["https://A.example:443/", "http://b.example:5173", "https://a.example"]' }).serve.allow_origin).toEqual(
      expected,
    )
    expect(load({ env: { HOLDFAST_SERVE_ALLOW_ORIGIN: ' https://a.example, http://b.example:5173 ,' } }).serve.allow_origin).toEqual(expected)
    expect(load({ flags: { allow_origin: expected } }).serve.allow_origin).toEqual(expected)
    expect(load({ flags: { allow_host: ['BOX.lan', 'box.lan:80,[2001:DB8:0::1]:443', '[::1]'] } }).serve.allow_host).toEqual([
      'box.lan',
      'box.lan:80',
      '[2001:db8::1]:443',
      '[::1]',
    ])
  })

  test('[OPS-05] a file is read from disk; a missing one is none, another failure is told', () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-config-'))
    try {
      expect(readTextFile(join(folder, 'none.toml'))).toBeUndefined()
      writeFileSync(join(folder, 'holdfast.toml'), '[serve]\nport = 0\n')
      expect(loadConfig({ flags: { data_dir: folder }, readFile: readTextFile, home: '/', cwd: '/' }).serve.port).toBe(0)
      expect(() => loadConfig({ flags: { config: folder }, readFile: readTextFile, home: '/', cwd: '/' })).toThrow(/cannot be read/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('mistakes', () => {
  test.each([
    ['an unknown key', '[serve]\nprot = 1', `${DEFAULT_FILE}: there is no setting "serve.prot"; did you mean "serve.port"?`],
    ['a key in the wrong table', '[serve]\nheartbeat_ms = 1', `${DEFAULT_FILE}: there is no setting "serve.heartbeat_ms"; did you mean "times.heartbeat_ms"?`],
    ['a key without a table', 'port = 1', `${DEFAULT_FILE}: there is no setting "port"; did you mean "serve.port"?`],
    ['an unknown table', '[limit]\nsessions = 1', `${DEFAULT_FILE}: there is no setting "limit"; did you mean "limits"?`],
    ['a value for a table', 'serve = 1', `${DEFAULT_FILE}: serve is a table of settings: write [serve]`],
    ['a table for a value', '[serve.port]\nx = 1', `${DEFAULT_FILE}: serve.port: must be a whole number from 0 to 65535, not {"x":1}`],
    ['a port out of range', '[serve]\nport = 65536', `${DEFAULT_FILE}: serve.port: must be a whole number from 0 to 65535, not 65536`],
    ['a fractional port', '[serve]\nport = 80.5', `${DEFAULT_FILE}: serve.port: must be a whole number from 0 to 65535, not 80.5`],
    ['a date', '[times]\nstall_ms = 2030-01-01', `${DEFAULT_FILE}: times.stall_ms: must be a duration from 1s to 1h, such as "10s" or "24h", not "2030-01-01"`],
    ['an unknown choice', '[serve]\ndurability = "most"', `${DEFAULT_FILE}: serve.durability: must be one of full, relaxed, not "most"`],
    ['a text for a flag', '[serve]\ntrust_proxy = "maybe"', `${DEFAULT_FILE}: serve.trust_proxy: must be true or false, not "maybe"`],
    [
      'none where there must be something',
      '[limits]\nsessions = "none"',
      `${DEFAULT_FILE}: limits.sessions: must be a whole number from 1 to 10000000, not "none"`,
    ],
  ])('[OPS-05] %s is named with its file', (_name, toml, problem) => {
    expect(problemsOf({ toml })).toEqual([problem])
  })

  test('[OPS-05] what is not TOML is told with line and column; keys that would reach a prototype are refused', () => {
    expect(problemsOf({ toml: '[serve]\nport = ' })[0]).toMatch(/holdfast\.toml:2:\d+: not valid TOML/)
    for (const toml of ['[__proto__]\nx = 1', '__proto__.port = 1', '[serve]\n__proto__ = { token = "x" }', '[constructor]\nx = 1', '[serve]\ntoString = 1'])
      expect(problemsOf({ toml }), toml).toHaveLength(1)
    expect(({} as { x?: unknown }).x).toBeUndefined()
  })

  test('[OPS-05] all problems are told at once, from every source, and the exit code is that of wrong usage', () => {
    const parts = {
      toml: '[serve]\nprot = 1\nhost = ""',
      env: { HOLDFAST_SERVE_PORT: 'x', HOLDFAST_LIMITS_SESIONS: '1' },
      flags: { durability: 'most', tls_cert: 'c.pem' },
    }
    expect(problemsOf(parts)).toEqual([
      'HOLDFAST_SERVE_PORT: must be a whole number from 0 to 65535, not "x"',
      'there is no setting for the variable HOLDFAST_LIMITS_SESIONS; did you mean "HOLDFAST_LIMITS_SESSIONS"?',
      '--durability: must be one of full, relaxed, not "most"',
      `${DEFAULT_FILE}: there is no setting "serve.prot"; did you mean "serve.port"?`,
      `${DEFAULT_FILE}: serve.host: must be an IP address or a host name, without a port, not ""`,
      'serve.tls_cert needs serve.tls_key (--tls-key)',
    ])
    expect(new ConfigError(['a', 'b'])).toMatchObject({ exitCode: 2, message: 'a\nb' })
  })

  test.each(['0.0.0.0', '::', '[::]', '192.168.1.5', 'box.lan', 'localhost.evil.com', '2001:db8::1'])(
    '[OPS-01] another address (%s) without a token refuses to start and says what to do',
    host => {
      const [problem] = problemsOf({ flags: { host } })
      expect(problem).toContain('there is no token: give one by --token')
      expect(load({ flags: { host, token: 't' } }).serve.token).toBe('t')
    },
  )

  test.each(['127.0.0.1', '127.9.9.9', 'localhost', '::1', '[::1]', 'LOCALHOST'])('[OPS-01] %s needs none', host => {
    expect(problemsOf({ flags: { host } })).toEqual([])
  })

  test.each(['', ' ', '127.0.0.1:80', '[::1]:80', 'http://localhost', '127.1', '127.0.0.256', '*', 'a b', 'localhost.'])(
    '[OPS-01] %j is no address to listen on',
    host => {
      expect(problemsOf({ flags: { host } })[0]).toContain('--host: must be an IP address or a host name')
    },
  )

  test.each([
    'example.com',
    'ftp://example.com',
    'https://',
    'https://u:p@example.com',
    'https://:p@example.com',
    'https://u@example.com',
    'https://example.com/?x',
    'https://example.com/#',
    'https://example.com:0',
    'https://a b',
    'ws://example.com',
  ])('[OPS-06] %j is no public URL', url => {
    expect(problemsOf({ flags: { public_url: url } })[0]).toContain('--public-url: must be a URL')
  })

  test('[OPS-06] a public URL is kept without a slash at its end', () => {
    expect(load({ flags: { public_url: 'https://Example.com:443/' } }).serve.public_url).toBe('https://example.com')
    expect(load({ flags: { public_url: 'http://example.com:8080/hold/' } }).serve.public_url).toBe('http://example.com:8080/hold')
  })

  test.each(['*', 'null', 'app.example', 'https://*.example', 'https://a.example/path'])('[OPS-02] %j cannot be allowed as an origin', origin => {
    expect(problemsOf({ flags: { allow_origin: origin } })[0]).toContain('--allow-origin')
  })

  test.each(['*', '*.example', 'https://a.example', 'a.example/x', 'a b', 'a.example:0', '127.1'])('[OPS-02] %j cannot be allowed as a host', host => {
    expect(problemsOf({ flags: { allow_host: host } })[0]).toContain('--allow-host')
  })

  test('[OPS-06] a certificate and its key come together', () => {
    expect(problemsOf({ flags: { tls_cert: 'a' } })).toEqual(['serve.tls_cert needs serve.tls_key (--tls-key)'])
    expect(problemsOf({ flags: { tls_key: 'a' } })).toEqual(['serve.tls_key needs serve.tls_cert (--tls-cert)'])
    expect(problemsOf({ flags: { tls_cert: 'a', tls_key: 'b' } })).toEqual([])
  })

  test.each([
    ['[times]\nsilence_ms = "10s"', 'times.silence_ms must be more'],
    ['[limits]\nevent_bytes = "5MiB"', 'limits.event_bytes must not be more'],
    ['[limits]\ninput_bytes = "5MiB"', 'limits.input_bytes must not be more'],
    ['[tail]\nsession_bytes = "65MiB"', 'tail.session_bytes must not be more'],
  ])('[OPS-03] %j does not fit together', (toml, problem) => {
    expect(problemsOf({ toml })).toEqual([expect.stringContaining(problem)])
  })

  test('[OPS-03] a text from anywhere is a value or a ConfigError, nothing else', () => {
    fc.assert(
      fc.property(fc.constantFrom(...SETTINGS), fc.oneof(fc.string(), fc.jsonValue()), ({ env, parse }, value) => {
        parse(value)
        if (typeof value === 'string') problemsOf({ env: { [env]: value } })
      }),
    )
    fc.assert(fc.property(fc.string(), toml => Array.isArray(problemsOf({ toml }))))
  })
})

test('[OPS-01] the token is shown neither in problems nor in a redacted configuration', () => {
  const secret = 'very secret'
  for (const parts of [{ toml: `[serve]\ntoken = "${secret}"` }, { env: { HOLDFAST_SERVE_TOKEN: secret } }, { flags: { token: secret } }]) {
    const problems = problemsOf(parts)
    expect(problems).toHaveLength(1)
    expect(problems.join()).not.toContain('secret')
  }
  const config = load({ flags: { token: 'hidden' } })
  expect(JSON.stringify(redacted(config))).not.toContain('hidden')
  expect(redacted(config).serve.token).toBe('[redacted]')
  expect(redacted(load())).toEqual(load())
  expect(config.serve.token).toBe('hidden')
})
