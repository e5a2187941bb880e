import { createClient } from '@holdfast/client'

const { server } = await (await fetch('/config.json')).json()
const client = createClient({ url: server })
// The same session for every visit: its id is kept under this name.
const session = await client.sessions.ensure('browser-example', { session_name: 'browser example' })

const [status, events, pending, form] = ['#status', '#events', '#pending', 'form'].map(selector => document.querySelector(selector))
const item = text => Object.assign(document.createElement('li'), { textContent: text })

const handle = client.attach(session.session_id, {
  // The list is built anew with every load, so every load reads from the start. A page that keeps its state leaves this out.
  cursor: 0,
  onEvent: event => events.append(item(event.payload.content)),
  onReset: () => events.replaceChildren(),
  onStatus: state => {
    status.textContent = state.error ? `${state.phase}: ${state.error.message}` : `${state.phase} over ${state.transport}`
  },
})
handle.subscribe(() => pending.replaceChildren(...handle.pending.map(input => item(input.payload.events[0].content))))

form.addEventListener('submit', event => {
  event.preventDefault()
  const content = form.elements.text.value
  form.reset()
  // Kept until the server has it on disk: sent again after every reconnect and reload, stored once.
  handle.send('session.append', { events: [{ event_type: 'message', role: 'user', content }] }).catch(error => {
    status.textContent = error.message
  })
})
// Not before there is somebody to listen.
for (const element of form.elements) element.disabled = false
