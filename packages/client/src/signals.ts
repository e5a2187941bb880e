import type { Signals } from './ports.ts'

interface Target {
  addEventListener(type: string, listener: () => void): void
  removeEventListener(type: string, listener: () => void): void
}

/** `online` and visibility of the page, where there is a page; elsewhere always online and never calling back (CLI-01). */
export function systemSignals(): Signals {
  const scope = globalThis as { window?: Target; document?: Target & { visibilityState?: string }; navigator?: { onLine?: boolean } }
  return {
    online: () => scope.navigator?.onLine !== false,
    watch: listener => {
      const { window: page, document: doc } = scope
      const visible = (): void => {
        if (doc?.visibilityState === 'visible') listener()
      }
      page?.addEventListener?.('online', listener)
      doc?.addEventListener?.('visibilitychange', visible)
      return () => {
        page?.removeEventListener?.('online', listener)
        doc?.removeEventListener?.('visibilitychange', visible)
      }
    },
  }
}
