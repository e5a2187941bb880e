import { hash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { homedir } from 'node:os'
import { createEngine, type Logger, type Principal, type Store } from '@holdfast/core'
import { createTerminalDriver, runDriver } from '@holdfast/drivers'
import { loadAdminToken } from './auth/admin-token.ts'
import { execPolicy } from './auth/exec-policy.ts'
import { createGuard } from './auth/guard.ts'
import { createRates } from './auth/rate.ts'
import { createTickets } from './auth/tickets.ts'
import { createTokens, type Tokens } from './auth/tokens.ts'
import type { Config } from './config/schema.ts'
import { pause, systemClock } from './edge/clock.ts'
import { systemRandom } from './edge/random.ts'
import type { Connection, Host } from './host.ts'
import { createApp } from './http/app.ts'
import { createNodeServer } from './http/node-server.ts'
import { opsRoutes } from './http/ops.ts'
import { createMetrics } from './metrics.ts'
import { createUpgrades } from './ws/upgrade.ts'

export interface RunningServer {
  readonly url: string
  readonly port: number
  /** Null where the token was given. */
  readonly tokenFile: string | null
  /** Says goodbye to everybody, lets what was accepted reach the disk, closes; at most `drainMs`. */
  drain(): Promise<void>
}

export interface ServerOptions {
  readonly config: Config
  readonly store: Store
  readonly logger: Logger
  /** The store can't go on: the process is to end. */
  readonly onFatal: (error: unknown) => void
}

/** Connections are looked at this often, or oftener where heartbeats are. */
const TICK_MS = 1000
/** After a restart everybody comes at once; whoever finds the queue full tries again a whole second later. The system may allow less. */
const BACKLOG = 8192
/** Clients come back spread over this long. */
const RECONNECT_SPREAD_MS = 2000

/** Starts the HTTP server on a store; accepts connections when it resolves. */
export async function startServer({ config, store, logger, onFatal }: ServerOptions): Promise<RunningServer> {
  const clock = systemClock
  const random = systemRandom
  const entropy = { id: random.id, bytes: (length: number) => randomBytes(length) }
  const { limits, times } = config
  const terminalDriver = createTerminalDriver({
    dataDir: config.serve.data_dir,
    clock,
    random,
    logger,
    eventBytes: limits.event_bytes,
    policy: execPolicy(config),
    env: process.env,
    home: homedir(),
  })
  const drivers = [runDriver, terminalDriver]
  const engine = await createEngine({
    store,
    kinds: drivers.map(driver => driver.kind),
    drivers,
    limits,
    clock,
    random,
    logger,
    digest: text => hash('sha256', text, 'base64url').slice(0, 22),
    retention: config.retention,
    idleExpiryMs: config.idle_expiry_ms,
    heartbeatMs: times.heartbeat_ms,
    sweepMs: times.sweep_ms,
    tailBytes: { perLog: config.tail.session_bytes, total: config.tail.total_bytes },
    onFatal: error => {
      // The readers have been told; what they were told needs a moment to leave.
      clock.after(200, () => onFatal(error))
    },
  })
  const admin = await loadAdminToken({ dataDir: config.serve.data_dir, token: config.serve.token, random: entropy, logger })
  const tokens = await createTokens({ store, putDoc: engine.putDoc, clock, random: entropy, logger })
  const tickets = createTickets({ clock, random: entropy, isLive: tokens.isLive })
  const rates = createRates({ clock, limits })
  let port = config.serve.port
  const guard = createGuard({ settings: config.serve, port: () => port, adminSecret: admin.secret, tokens, tickets, clock, logger })
  const revocations = createRevocations(tokens)
  const metrics = createMetrics(store, () => host)
  const host: Host = {
    engine,
    limits,
    times: { heartbeatMs: times.heartbeat_ms, silenceMs: times.silence_ms, stallMs: times.stall_ms, authMs: times.auth_ms },
    clock,
    random,
    logger,
    admit: guard.admit,
    accessFromToken: guard.accessFromToken,
    onRevoked: revocations.add,
    countRequest: (principal: Principal) => rates.request(principal.subject),
    countConnection: (principal: Principal) => rates.connect(principal.subject),
    countRefusal: metrics.countRefusal,
    connections: new Set<Connection>(),
    isDraining: false,
  }
  const checkReady = async (): Promise<void> => {
    await store.stats()
  }
  const app = createApp(host, [opsRoutes({ host, metrics, tokens, tickets, checkReady })])
  const tls =
    config.serve.tls_cert === null || config.serve.tls_key === null
      ? undefined
      : { cert: await readFile(config.serve.tls_cert, 'utf8'), key: await readFile(config.serve.tls_key, 'utf8') }
  const { server, exchanges } = createNodeServer({ host, app, allowOrigins: config.serve.allow_origin, tls })
  const upgrades = createUpgrades(host)
  server.on('upgrade', upgrades.handle)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: config.serve.port, host: config.serve.host, backlog: BACKLOG }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  port = (server.address() as AddressInfo).port
  let stopTick: () => void = () => undefined
  const tick = (): void => {
    stopTick = clock.after(Math.min(TICK_MS, times.heartbeat_ms / 2), () => {
      const now = clock.steadyMs()
      for (const connection of host.connections) connection.tick(now)
      exchanges.tick(now)
      tick()
    })
  }
  tick()

  const drain = async (): Promise<void> => {
    host.isDraining = true
    logger.info('draining', { connections: host.connections.size })
    const stopDeadline = clock.after(times.drain_ms, () => server.closeAllConnections())
    for (const connection of [...host.connections]) connection.goAway(Math.floor(random.fraction() * RECONNECT_SPREAD_MS))
    await engine.drain()
    // Whoever asks meanwhile is told that this server stops.
    await settled(host, () => host.connections.size + exchanges.size === 0, times.drain_ms - Math.min(DRAIN_RESERVE_MS, times.drain_ms / 2))
    server.close()
    stopTick()
    tokens.close()
    server.closeAllConnections()
    stopDeadline()
    await engine.close()
  }
  const name =
    config.serve.host === '0.0.0.0'
      ? '127.0.0.1'
      : config.serve.host === '::'
        ? '[::1]'
        : config.serve.host.includes(':')
          ? `[${config.serve.host}]`
          : config.serve.host
  return { url: `${tls ? 'https' : 'http'}://${name}:${port}`, port, tokenFile: admin.file, drain }
}

/** What closing the store may take out of the drain's time. */
const DRAIN_RESERVE_MS = 5000

/** Resolves when it is so, or after `maxMs`. */
async function settled(host: Host, isSo: () => boolean, maxMs: number): Promise<void> {
  const end = host.clock.steadyMs() + maxMs
  while (!isSo() && host.clock.steadyMs() < end) await pause(10)
}

/** Listeners by token, so that a revocation looks only at its own; a token that died before its listener came is told at once. */
function createRevocations({ onRevoked, isLive }: Pick<Tokens, 'onRevoked' | 'isLive'>): { add(tokenId: string, listener: () => void): () => void } {
  const byToken = new Map<string, Set<() => void>>()
  onRevoked(tokenId => {
    for (const listener of [...(byToken.get(tokenId) ?? [])]) listener()
  })
  return {
    add(tokenId, listener) {
      const listeners = byToken.get(tokenId) ?? new Set()
      byToken.set(tokenId, listeners.add(listener))
      if (!isLive(tokenId)) void Promise.resolve().then(() => listeners.has(listener) && listener())
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) byToken.delete(tokenId)
      }
    },
  }
}
