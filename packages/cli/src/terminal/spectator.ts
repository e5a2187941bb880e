import type { ClientOptions } from '@holdfast/client'
import type { Api } from '../api.ts'

/**
 * Options of a client that can't become the writer of a session: its sockets carry a ticket for reading instead of the
 * token, since the first attachment that may write gets the role. Without a token there is nothing to hide.
 */
export function spectatorOptions(api: Api, sessionId: string): Pick<ClientOptions, 'token' | 'WebSocket' | 'fetch'> {
  let ticket = ''
  class TicketSocket extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(`${url}&ticket=${encodeURIComponent(ticket)}`, protocols)
    }
  }
  return {
    // Asked for every connection; undefined, so that no token is sent beside the ticket.
    token: async () => {
      const { body } = await api.request('POST', '/tickets', { body: { session_id: sessionId, scope: 'read' } })
      ticket = (body as { ticket: string }).ticket
      return undefined
    },
    WebSocket: TicketSocket,
    fetch: (input, init) => fetch(input, { ...init, headers: { ...init?.headers, authorization: `Bearer ${api.token}` } }),
  }
}
