// Reports a file or a stream of lines as a Holdfast run:  node reporter.ts my-run < agent.log
// A line that is a JSON object with an "event_type" is that event; any other line is a message of the assistant.
// Each event's id is made from the number of its line, so nothing has to be remembered: after a crash, run it
// again from the first line, and what the server has already is known by its id and stored once.
import { createInterface } from 'node:readline'
import { createClient } from '@holdfast/client'

const session = process.argv[2]
if (!session) throw new Error('usage: node reporter.ts <session id> < lines')

const token = process.env.HOLDFAST_TOKEN
const client = createClient({ url: process.env.HOLDFAST_URL ?? 'http://127.0.0.1:8765', ...(token ? { token } : {}), store: null })

// The same call again gives the same session.
await client.sessions.create({ session_id: session, session_name: session, agent_name: 'reporter.ts' })

// The producer batches, keeps the order, and repeats each batch with backoff until the server has it on disk.
const producer = client.producer(session, {
  onRetry: (error, inMs) => console.error(`reporter: ${error.message} Again in ${Math.round(inMs)} ms.`),
  onError: error => console.error(`reporter: refused: ${error.message}`),
})

let number = 0
for await (const line of createInterface({ input: process.stdin })) {
  // Waits where a thousand events are not acknowledged yet, so that memory stays bounded while the server is away.
  await producer.ready()
  void producer.append({ id: `line-${++number}`, ...eventFrom(line) })
}
void producer.append({ id: 'stop', event_type: 'session_stop', exit_code: 0 })

// Resolves when everything is acknowledged; rejects where something was refused for good.
await producer.close()
client.close()
console.log(await resultOf(session))

function eventFrom(line: string): Record<string, unknown> {
  try {
    const event: unknown = JSON.parse(line)
    if (event !== null && typeof event === 'object' && 'event_type' in event) return { ...event }
  } catch {
    // Not JSON: something that was said.
  }
  return { event_type: 'message', role: 'assistant', content: line }
}

async function resultOf(id: string): Promise<string> {
  const { result } = await client.request<{ result: string }>('GET', `/sessions/${encodeURIComponent(id)}/result`)
  return result
}
