import { type Event, messageText } from '@holdfast/protocol'
import { cutTo, oneLine, type Paint, plainText, type Style } from './output.ts'

/** Lines of a text that are shown of one event. */
const SHOWN_LINES = 8

type Fields = Readonly<Record<string, unknown>>
const fieldsOf = (value: unknown): Fields => (value !== null && typeof value === 'object' ? (value as Fields) : {})
const textField = (value: unknown): string => (typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value))

/** Who speaks or what happened, with the text that belongs to it. */
interface Shown {
  readonly label: string
  readonly style: Style
  readonly text: string
}

const ROLE_STYLES: Readonly<Record<string, Style>> = { user: 'cyan', assistant: 'green', system: 'magenta' }

/** One event as a person reads it: its time, who or what, the first lines of its text. */
export function prettyEvent(event: Event, paint: Paint, columns = 100): string {
  const { label, style, text } = shownOf(event)
  const time = localTime(ownTime(event))
  const name = oneLine(label).padEnd(9)
  const indent = ' '.repeat(time.length + 2 + name.length + 2)
  const lines = plainText(text).trimEnd().split('\n')
  const kept = lines.length > SHOWN_LINES ? [...lines.slice(0, SHOWN_LINES - 1), `… ${lines.length - SHOWN_LINES + 1} more lines`] : lines
  const body = kept.map((line, index) => (index === 0 ? '' : indent) + cutTo(line, Math.max(20, columns * 4)))
  return `${paint('dim', time)}  ${paint(style, name)}  ${body.join('\n')}\n`
}

function shownOf(event: Event): Shown {
  const fields = fieldsOf(event.payload)
  const short = event.type.replace(/^run\./, '')
  switch (event.type) {
    case 'run.message':
    case 'chat.message':
      return message(fields)
    case 'run.pre_tool':
    case 'chat.tool_call':
      return { label: '→ tool', style: 'yellow', text: `${toolName(fields)}  ${toolInput(fields.tool_input ?? fields.input ?? fields.args)}` }
    case 'run.post_tool':
    case 'chat.tool_result':
      return {
        label: fields.is_error ? '✗ tool' : '← tool',
        style: fields.is_error ? 'red' : 'dim',
        text: `${toolName(fields)}  ${toolOutput(fields.tool_response ?? fields.output ?? fields.result ?? fields.content)}`,
      }
    case 'run.session_start':
      return { label: 'start', style: 'bold', text: [textField(fields.source), textField(fields.cwd ?? fields.project_dir)].filter(Boolean).join(' in ') }
    case 'run.session_stop':
      return stop(fields)
    case 'run.agent_stop':
      return { label: 'idle', style: 'dim', text: textField(fields.reason) }
    case 'run.notification':
      return { label: 'waiting', style: 'yellow', text: textField(fields.message) }
    case 'run.subagent_stop':
      return { label: 'subagent', style: 'magenta', text: [textField(fields.agent_type), textField(fields.last_assistant_message)].filter(Boolean).join('  ') }
    case 'run.subagent_message':
      return { ...message(fields), label: 'subagent', style: 'magenta' }
    case 'chat.thinking':
      return { label: 'thinking', style: 'dim', text: textField(fields.text) }
    case 'terminal.started':
      return {
        label: 'started',
        style: 'bold',
        text: `${textField(fields.command)} (pid ${textField(fields.pid)}, ${textField(fields.cols)}×${textField(fields.rows)})`,
      }
    case 'terminal.exited':
      return stop(fields)
    case 'session.warning':
      return { label: 'warning', style: 'yellow', text: textField(fields.message) }
    case 'session.created':
    case 'session.updated':
      return sessionChange(short, fieldsOf(fields.session))
    case 'session.deleted':
      return { label: 'deleted', style: 'red', text: textField(fields.session_id) }
    default:
      return { label: short, style: 'dim', text: restOf(fields) }
  }
}

function message(fields: Fields): Shown {
  const role = textField(fields.role) || 'message'
  const blocks = Array.isArray(fields.content) ? fields.content.map(fieldsOf) : []
  const others = blocks
    .filter(block => block.type !== 'text' && block.type !== undefined)
    .map(block => (block.type === 'tool_use' ? `[calls ${textField(block.name)}]` : `[${textField(block.type)}]`))
  const text = [messageText(fields) ?? (typeof fields.content === 'string' ? fields.content : ''), others.join(' ')].filter(Boolean).join('\n')
  return { label: role, style: ROLE_STYLES[role] ?? 'bold', text }
}

const toolName = (fields: Fields): string => textField(fields.tool_name ?? fields.name) || 'tool'

/** The part of a tool's input that says most: a command, a path, a pattern; else its JSON. */
function toolInput(input: unknown): string {
  const fields = fieldsOf(input)
  const telling = fields.command ?? fields.file_path ?? fields.path ?? fields.pattern ?? fields.url ?? fields.query ?? fields.description
  return typeof input === 'string' ? input : typeof telling === 'string' ? telling : cutTo(JSON.stringify(input) ?? '', 300)
}

function toolOutput(output: unknown): string {
  if (typeof output === 'string') return output
  const { stdout, stderr, content, blob, bytes } = fieldsOf(output)
  if (typeof stdout === 'string' || typeof stderr === 'string') return [stdout, stderr].filter(part => typeof part === 'string' && part !== '').join('\n')
  if (blob !== undefined) return `[${textField(bytes)} bytes, stored apart]`
  return messageText({ content: content ?? output }) ?? cutTo(JSON.stringify(output) ?? '', 300)
}

function stop(fields: Fields): Shown {
  const code = fields.exit_code
  const failed = typeof code === 'number' ? code !== 0 : fields.signal !== null && fields.signal !== undefined
  const how = fields.signal ? `by ${textField(fields.signal)}` : code === undefined || code === null ? '' : `exit code ${textField(code)}`
  return { label: failed ? 'failed' : 'ended', style: failed ? 'red' : 'bold', text: [how, textField(fields.reason)].filter(Boolean).join(', ') }
}

function sessionChange(what: string, session: Fields): Shown {
  const name = session.session_name ? `  ${textField(session.session_name)}` : ''
  return {
    label: what === 'session.created' ? 'created' : 'updated',
    style: what === 'session.created' ? 'green' : 'cyan',
    text: `${textField(session.session_id)}${name}  ${textField(session.kind)}, ${textField(session.state)}`,
  }
}

/** What an event of an unknown type holds, its own name left out. */
function restOf(fields: Fields): string {
  const { event_type: _type, id: _id, timestamp: _timestamp, message: said, ...rest } = fields
  return typeof said === 'string' ? said : Object.keys(rest).length === 0 ? '' : cutTo(JSON.stringify(rest), 400)
}

/** When it happened: a reporter that was cut off tells later, and says when it was. */
function ownTime(event: Event): string {
  const { timestamp } = fieldsOf(event.payload)
  return typeof timestamp === 'string' && event.type.startsWith('run.') && !Number.isNaN(Date.parse(timestamp)) ? timestamp : event.header.timestamp
}

/** The reader's own time of day, to the second. */
function localTime(iso: string): string {
  const date = new Date(iso)
  return Number.isNaN(date.getTime())
    ? '--:--:--'
    : [date.getHours(), date.getMinutes(), date.getSeconds()].map(part => String(part).padStart(2, '0')).join(':')
}

/** Text that goes on from event to event: a model's tokens, a terminal's output; undefined for all else. */
export function streamedText(event: Event): string | undefined {
  const fields = fieldsOf(event.payload)
  if (event.type === 'chat.delta') return textField(fields.text)
  if (event.type !== 'terminal.output') return undefined
  return typeof fields.text === 'string' ? fields.text : Buffer.from(textField(fields.base64), 'base64').toString()
}
