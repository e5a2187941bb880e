import { isId } from '@holdfast/protocol/wire'
import type { KeyValueStore, Random } from './ports.ts'
import { CLIENT_ID_KEY, type WebStorage } from './stores.ts'

interface PageEvents {
  addEventListener(type: string, listener: () => void): void
}

/**
 * A tab's own id, the same after a reload and never that of another tab (fault 22). The tab's storage holds it only
 * between unloading and loading, since a duplicated tab starts with a copy of that storage.
 */
export function clientIdOfTab(tab: WebStorage, page: PageEvents, random: Random): string {
  const kept = tab.getItem(CLIENT_ID_KEY)
  const id = isId(kept) ? kept : random.id()
  tab.removeItem(CLIENT_ID_KEY)
  page.addEventListener('pagehide', () => tab.setItem(CLIENT_ID_KEY, id))
  page.addEventListener('pageshow', () => tab.removeItem(CLIENT_ID_KEY))
  return id
}

/** The id that a store of one's own keeps; made and kept where there is none. */
export async function clientIdOfStore(store: KeyValueStore, random: Random): Promise<string> {
  const kept = await store.get(CLIENT_ID_KEY)
  if (isId(kept)) return kept
  const id = random.id()
  await store.set(CLIENT_ID_KEY, id)
  return id
}
