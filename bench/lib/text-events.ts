/** Words of which a log's text is made: it compresses about as agents' output does, and not like one letter many times. */
const WORDS = (
  'the of to and in is for on with as by be this that file test error line build path value key read write open close start stop run call return new old ' +
  'const function import export await async string number object array session event server client socket buffer stream index cursor store commit snapshot ' +
  'package version module config option default update remove create delete check expect result report message content token request response header body ' +
  'src/index.ts lib/store.ts README.md npm install git diff --stat 0x1f 404 200 127.0.0.1 TypeError undefined null true false => {} [] () // TODO'
).split(' ')

const POOL_BYTES = 4 * 1024 * 1024
let pool: string | undefined

/** Always the same text: a linear congruential generator picks the words. */
function poolOfText(): string {
  let state = 12_345
  let text = ''
  while (text.length < POOL_BYTES) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    const word = WORDS[(state >>> 8) % WORDS.length] as string
    text += state >>> 28 === 0 ? `${(state >>> 4) & 0xffff} ` : `${word} `
  }
  return text
}

/** An item as a reporter posts it, of `bytes` bytes as JSON, its text of words; `n` stands at its front. */
export function textItemOf(bytes: number, n: number): string {
  pool ??= poolOfText()
  const head = `{"event_type":"message","n":${n},"content":"`
  const length = bytes - head.length - 2
  const from = (n * 7919 * 13) % (POOL_BYTES - length)
  return `${head}${pool.slice(from, from + length)}"}`
}
