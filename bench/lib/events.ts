/** An item as a reporter posts it, of about `bytes` bytes as JSON; `n` makes each one different. */
export function itemOf(bytes: number, n: number): string {
  const head = `{"event_type":"message","n":${n},"content":"`
  return `${head}${'x'.repeat(Math.max(0, bytes - head.length - 2))}"}`
}

/** The frame that appends items to a session; its ack names `id`. */
export const appendFrame = (sessionId: string, id: string, items: string): string =>
  `{"type":"session.append","header":{"id":"${id}","session_id":"${sessionId}"},"payload":{"events":[${items}]}}`
