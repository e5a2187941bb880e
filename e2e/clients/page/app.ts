import * as holdfast from '@holdfast/client'

/** What runs in the pages of the browser's tests: an application that follows sessions and keeps what it saw. */
export interface FollowOptions {
  readonly url: string
  readonly session: string
  readonly name?: string
  readonly token?: string
  readonly transports?: readonly ('ws' | 'sse' | 'poll')[]
  readonly policy?: Partial<holdfast.ConnectionPolicy>
  /** Written to localStorage under this key, in the turn in which an event is applied. */
  readonly keepAs?: string
}

export interface Followed {
  readonly client: holdfast.Client
  readonly handle: holdfast.Attachment
  readonly seqs: number[]
  /** Each new `<transport> <phase>`, hellos and resets. */
  readonly phases: string[]
}

const MAKE = { ws: holdfast.wsTransport, sse: holdfast.sseTransport, poll: () => holdfast.pollTransport({ waitMs: 1000 }) }
const clients = new Map<string, holdfast.Client>()

export const app = {
  holdfast,
  followed: new Map<string, Followed>(),
  seqs: (name = 'main'): number[] => app.followed.get(name)?.seqs ?? [],
  client({ url, token, transports, policy }: Omit<FollowOptions, 'session'>): holdfast.Client {
    const key = JSON.stringify([url, token, transports])
    const made =
      clients.get(key) ??
      holdfast.createClient({
        url,
        ...(token === undefined ? {} : { token }),
        ...(transports ? { transports: transports.map(transport => MAKE[transport]()) } : {}),
        policy: { baseMs: 20, capMs: 200, connectMs: 3000, maxTries: 10_000, ...policy },
      })
    clients.set(key, made)
    return made
  },
  follow(options: FollowOptions): void {
    const { session, keepAs, name = 'main' } = options
    const client = app.client(options)
    const kept = keepAs === undefined ? null : localStorage.getItem(keepAs)
    const seqs: number[] = kept ? (JSON.parse(kept) as number[]) : []
    const phases: string[] = []
    const handle = client.attach(session, {
      onEvent: event => {
        seqs.push(event.header.seq)
        if (keepAs !== undefined) localStorage.setItem(keepAs, JSON.stringify(seqs))
      },
      onHello: hello => void phases.push(`hello ${hello.resume} ${hello.epoch} ${hello.head_seq} at ${handle.cursor}`),
      onReset: reset => void phases.push(`reset ${reset.epoch}.${reset.seq}`),
      onStatus: state => {
        const text = `${state.transport} ${state.phase}`
        if (phases.at(-1) !== text) phases.push(text)
      },
    })
    app.followed.set(name, { client, handle, seqs, phases })
  },
}

Object.assign(globalThis, { app })
