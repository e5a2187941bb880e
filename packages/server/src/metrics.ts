import type { Store } from '@holdfast/core'
import type { ErrorCode } from '@holdfast/protocol'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { Host } from './host.ts'

export interface Metrics {
  countRefusal(code: ErrorCode): void
  /** The Prometheus text format. */
  text(): Promise<string>
  readonly contentType: string
}

/** What `/metrics` shows; the store is asked when it is asked. */
export function createMetrics(store: Store, host: () => Host): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 })
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read())
      },
    })
  }
  const counters = () => host().engine.counters
  gauge('holdfast_events_appended_total', 'Events appended since the start', () => counters().appended)
  gauge('holdfast_events_duplicate_total', 'Repeats that were answered with the first answer', () => counters().duplicates)
  gauge('holdfast_attachments_total', 'Attachments since the start', () => counters().attached)
  gauge('holdfast_draining', '1 while the server stops', () => (host().isDraining ? 1 : 0))
  new Gauge({
    name: 'holdfast_connections',
    help: 'Open connections',
    labelNames: ['transport'],
    registers: [registry],
    collect() {
      this.reset()
      for (const transport of ['ws', 'sse', 'poll', 'compat']) this.set({ transport }, 0)
      for (const connection of host().connections) this.inc({ transport: connection.transport })
    },
  })
  const stored = new Gauge({ name: 'holdfast_sessions', help: 'Live sessions', registers: [registry] })
  const bytes = new Gauge({ name: 'holdfast_log_bytes', help: 'Bytes of kept events', registers: [registry] })
  const commits = new Gauge({ name: 'holdfast_commits_total', help: 'Commits of this database, ever', registers: [registry] })
  const quarantined = new Gauge({ name: 'holdfast_quarantined_logs', help: 'Logs that were found damaged', registers: [registry] })
  const refusals = new Counter({ name: 'holdfast_refusals_total', help: 'Refused requests and frames', labelNames: ['code'], registers: [registry] })
  return {
    countRefusal: code => refusals.inc({ code }),
    contentType: registry.contentType,
    async text() {
      const stats = await store.stats()
      stored.set(stats.sessions)
      bytes.set(stats.logBytes)
      commits.set(stats.commits)
      quarantined.set(stats.quarantined.length)
      return registry.metrics()
    },
  }
}
