import { AUTH_MS, DEFAULT_LIMITS, HEARTBEAT_MS, SILENCE_MS, STALL_MS } from '@holdfast/protocol'
import { z } from 'zod'
import {
  choice,
  commands,
  durationMs,
  flag,
  folders,
  hosts,
  listenHost,
  optional,
  optionalPath,
  optionalToken,
  optionalUrl,
  origins,
  path,
  required,
  sizeBytes,
  wholeNumber,
} from './values.ts'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB
const SECOND = 1000
const HOUR = 3600 * SECOND
const DAY = 24 * HOUR
const YEAR = 365 * DAY
/** Node's timers overflow at 2^31 ms, so what becomes one timer stays below. */
const MAX_TIMER = 24 * DAY

const interval = (fallback: number, least: number, most: number, description: string) =>
  required(durationMs(least, most)).default(fallback).describe(description)
const size = (fallback: number, description: string, least = KiB, most = GiB) => required(sizeBytes(least, most)).default(fallback).describe(description)
const number = (fallback: number, description: string) => required(wholeNumber(1, 10_000_000)).default(fallback).describe(description)

/** What is kept of a kind's logs: the oldest events go when any limit is passed (SEQ-14). */
const retention = (fallback: { max_age_ms?: number; max_bytes?: number; max_events?: number }, of: string) =>
  z
    .strictObject({
      max_age_ms: optional(durationMs(SECOND, 100 * YEAR))
        .default(fallback.max_age_ms ?? null)
        .describe('Older events go.'),
      max_bytes: optional(sizeBytes(64 * KiB, 1024 * GiB))
        .default(fallback.max_bytes ?? null)
        .describe('The oldest events go beyond this.'),
      max_events: optional(wholeNumber(1, Number.MAX_SAFE_INTEGER))
        .default(fallback.max_events ?? null)
        .describe('The oldest events go beyond this.'),
    })
    .describe(`What is kept of ${of}; "none" keeps all.`)

const idle = (fallback: number | null, description: string) =>
  optional(durationMs(SECOND, 100 * YEAR))
    .default(fallback)
    .describe(description)

/** Every setting with its default and what it means; the defaults' file, the environment's names, the checks and the type are all read from here. */
export const configSchema = z.strictObject({
  serve: z
    .strictObject({
      host: listenHost().default('127.0.0.1').describe('Address to listen on. Any other than loopback needs a token.'),
      port: required(wholeNumber(0, 65_535)).default(8765).describe('Port to listen on; 0 takes a free one.'),
      data_dir: path().default('~/.holdfast').describe('Folder that holds everything: database, segments, admin token.'),
      durability: choice('full', 'relaxed')
        .default('full')
        .describe('"full" acks what is on disk; "relaxed" trades the sync for speed, and a power cut for the last moments.'),
      token: optionalToken()
        .default(null)
        .describe("The admin's token; every request then needs one. Without it, one is kept in the data folder's file `token`."),
      allow_origin: origins().default([]).describe('Origins of other web pages that may use the server from a browser.'),
      allow_host: hosts()
        .default([])
        .describe('Names besides the loopback ones under which the server is asked, with a port or for any port. Every request then needs a token.'),
      public_url: optionalUrl().default(null).describe('The URL under which the world reaches the server, through a proxy or tunnel.'),
      trust_proxy: flag()
        .default(false)
        .describe('Believe X-Forwarded-For, -Proto and -Host. Only where nobody can reach this port but the proxy, and the proxy sets them.'),
      tls_cert: optionalPath().default(null).describe('Certificate chain (PEM) for TLS of its own; needs tls_key.'),
      tls_key: optionalPath().default(null).describe('Private key (PEM) of tls_cert.'),
    })
    .describe('The server. Each has a flag of `holdfast serve`, such as --data-dir.'),
  limits: z
    .strictObject({
      event_bytes: size(DEFAULT_LIMITS.event_bytes, 'Largest event, encoded, envelope included.'),
      input_bytes: size(DEFAULT_LIMITS.input_bytes, 'Largest message from a client.'),
      body_bytes: size(DEFAULT_LIMITS.body_bytes, 'Largest request body.'),
      blob_bytes: size(DEFAULT_LIMITS.blob_bytes, 'Largest blob.', KiB, 16 * GiB),
      batch_events: number(DEFAULT_LIMITS.batch_events, 'Most events in one post.'),
      frame_bytes: size(DEFAULT_LIMITS.frame_bytes, 'Largest WebSocket frame from the server.', KiB, 256 * KiB),
      connections: number(DEFAULT_LIMITS.connections, 'Most connections of one principal at once.'),
      sessions: number(DEFAULT_LIMITS.sessions, 'Most sessions of one principal.'),
      requests_per_second: number(DEFAULT_LIMITS.requests_per_second, 'Most inputs and posts of one principal in a second; a batch counts once.'),
      id_retention_ms: interval(DEFAULT_LIMITS.id_retention_ms, HOUR, 10 * YEAR, 'How long ids that make a retry harmless are kept at least.'),
    })
    .describe('Limits; clients are told all of them in hello.'),
  times: z
    .strictObject({
      heartbeat_ms: interval(HEARTBEAT_MS, 100, HOUR, 'Pings, heartbeats and comments are sent this often.'),
      silence_ms: interval(SILENCE_MS, 200, 3 * HOUR, 'A peer that says nothing for this long is dropped; must be more than heartbeat_ms.'),
      stall_ms: interval(STALL_MS, SECOND, HOUR, 'A reader that takes nothing for this long is closed (4408).'),
      auth_ms: interval(AUTH_MS, 100, 60 * SECOND, 'The first message with a token must come within this.'),
      drain_ms: interval(10 * SECOND, 100, HOUR, 'A stop waits this long for what is under way.'),
      sweep_ms: interval(60 * SECOND, 100, HOUR, 'Expiry and retention are looked at this often.'),
      cold_after_ms: interval(10 * SECOND, 100, MAX_TIMER, 'A log without appends for this long is folded into segment files.'),
    })
    .describe('Times.'),
  tail: z
    .strictObject({
      session_bytes: size(MiB, 'Newest events of one session that are kept in memory.', 0),
      total_bytes: size(64 * MiB, 'The same, of all sessions together.', 0, 64 * GiB),
    })
    .describe('Memory for the newest events, so that live readers never touch the disk.'),
  retention: z
    .strictObject({
      chat: retention({}, 'chats'),
      terminal: retention({ max_bytes: 50 * MiB }, 'terminals (a snapshot restores the screen)'),
      ui: retention({ max_events: 10_000 }, 'agent-drawn UIs (a snapshot restores the surface)'),
      run: retention({}, 'runs'),
      feed: retention({ max_events: 100_000 }, "each owner's feed"),
    })
    .describe('What is kept.'),
  idle_expiry_ms: z
    .strictObject({
      chat: idle(null, 'Chats.'),
      terminal: idle(24 * HOUR, 'Terminals.'),
      ui: idle(null, 'Agent-drawn UIs.'),
      run: idle(null, 'Runs.'),
    })
    .describe('A session without input, output or client for longer than this ends and answers 410; "none" never.'),
  exec: z
    .strictObject({
      allow_folders: folders().default([]).describe('Folders that programs may be started in, subfolders too; empty allows all on this machine.'),
      allow_commands: commands()
        .default([])
        .describe('Commands that may be started, written as in the request; "*" allows all. Empty allows all on this machine.'),
    })
    .describe('What terminals may start. Where others than this machine can reach the server, nothing until both are given.'),
  log: z
    .strictObject({
      level: choice('debug', 'info', 'warn', 'error').default('info').describe('Least severe level that is logged: debug, info, warn, error.'),
      format: choice('json', 'text').default('json').describe('"json" (one object a line) or "text", to stderr.'),
    })
    .describe('Logs.'),
})

type DeepReadonly<T> = T extends (infer U)[] ? readonly U[] : T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T

/** All settings; paths absolute, hosts and origins canonical. */
export type Config = DeepReadonly<z.output<typeof configSchema>>
