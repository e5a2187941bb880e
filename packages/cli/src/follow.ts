import type { Event, Gap } from '@holdfast/protocol'
import { type Api, sessionPath } from './api.ts'

/** What a reader of a session sees, one after the other. */
export type Step =
  | { readonly type: 'event'; readonly event: Event }
  /** Something about the log itself, which stays true. */
  | { readonly type: 'notice'; readonly text: string }
  /** How the connection stands. */
  | { readonly type: 'status'; readonly text: string }

const gapText = (gap: Gap): string => `events ${gap.from_seq} to ${gap.to_seq} ${gap.reason === 'trimmed' ? 'are no longer kept' : 'were skipped'}`
const RESET_TEXT = 'the server has another history than before (a restored backup?); from its start:'

/** A person watches, and ends it with Ctrl-C: it never gives up by itself. */
const PATIENT = { maxTries: Number.MAX_SAFE_INTEGER, capMs: 5000 }

/** Every event after a cursor, then live until `signal`; reconnects by itself, for ever, and resumes where it was. */
export async function* followSession(api: Api, id: string, cursor: string | number, signal: AbortSignal): AsyncGenerator<Step> {
  const { createClient } = await import('@holdfast/client')
  const client = createClient({ url: api.url, ...(api.token === undefined ? {} : { token: api.token }), store: null, policy: PATIENT })
  const statuses: Step[] = []
  let wake: () => void = () => undefined
  let isLost = false
  const deliveries = client.deliveries(id, {
    cursor,
    signal,
    persist: false,
    onStatus: state => {
      if (state.phase === 'waiting')
        statuses.push({
          type: 'status',
          text: `Connection lost; trying again in ${Math.max(1, Math.round((state.retryInMs ?? 0) / 1000))} s (try ${state.tries})…`,
        })
      else if (state.phase === 'live' && isLost) statuses.push({ type: 'status', text: 'Connected again.' })
      isLost = state.phase === 'waiting' || (isLost && state.phase !== 'live')
      wake()
    },
  })
  let pending: Promise<{ result: IteratorResult<Awaited<ReturnType<typeof deliveries.next>>['value']> }> | undefined
  let shown = 0
  try {
    for (;;) {
      while (shown < statuses.length) yield statuses[shown++] as Step
      pending ??= deliveries.next().then(result => ({ result }))
      const woken = new Promise<undefined>(resolve => {
        wake = () => resolve(undefined)
      })
      const next = await Promise.race([pending, woken])
      if (!next) continue
      pending = undefined
      const { done, value } = next.result
      if (done || !value) return
      if (value.type === 'event') yield { type: 'event', event: value.event }
      else if (value.type === 'gap') yield { type: 'notice', text: gapText(value.gap) }
      else if (value.type === 'reset') yield { type: 'notice', text: RESET_TEXT }
    }
  } finally {
    client.close()
  }
}

interface PollPage {
  readonly events: readonly Event[]
  readonly next_cursor: string
  readonly has_more: boolean
  readonly resume: string
  readonly gap?: Gap
}

/** Every event after a cursor that is there now. */
export async function* readToHead(api: Api, id: string, cursor: string | number, signal: AbortSignal): AsyncGenerator<Step> {
  let after = String(cursor)
  for (;;) {
    const page = (await api.request('GET', `${sessionPath(id)}/events?after=${encodeURIComponent(after)}&limit=1000`, { signal })).body as PollPage
    if (page.resume === 'reset') yield { type: 'notice', text: RESET_TEXT }
    if (page.gap) yield { type: 'notice', text: gapText(page.gap) }
    for (const event of page.events) yield { type: 'event', event }
    if (!page.has_more) return
    after = page.next_cursor
  }
}
