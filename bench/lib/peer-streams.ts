import { connectHttp } from './http-client.ts'

/** Reads the peer's streams back: each must hold the events 1 … `told`, in order. Throws where it does not. */
export async function verifyPeer(url: string, paths: readonly string[], told: readonly number[]): Promise<void> {
  for (const [index, path] of paths.entries()) {
    const client = await connectHttp(url)
    const { status, body } = await client.request('GET', `${path}?offset=-1`)
    client.close()
    const events = status === 200 ? (JSON.parse(body.toString()) as { n: number }[]) : []
    if (events.length !== told[index] || events.some((event, at) => event.n !== at + 1))
      throw new Error(`GET ${path}: ${status} with ${events.length} events, or others than the ${told[index]} that were posted`)
  }
}

/** Creates streams of JSON. */
export async function createStreams(url: string, paths: readonly string[]): Promise<void> {
  const client = await connectHttp(url, { 'content-type': 'application/json' })
  for (const path of paths) {
    const { status, body } = await client.request('PUT', path)
    if (status !== 201) throw new Error(`PUT ${path}: ${status} ${body.toString()}`)
  }
  client.close()
}
