import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesFromText, msFromText, textFromBytes, textFromMs } from './units.ts'

test('[OPS-03] what is printed is read back the same', () => {
  const amount = fc.nat({ max: Number.MAX_SAFE_INTEGER })
  fc.assert(fc.property(amount, value => msFromText(textFromMs(value)) === value && bytesFromText(textFromBytes(value)) === value))
})

test('[OPS-03] durations as people write them', () => {
  const read = {
    '10s': 10_000,
    '24h': 86_400_000,
    '250ms': 250,
    '1h30m': 5_400_000,
    '1.5d': 129_600_000,
    '1.1s': 1100,
    '2w': 1_209_600_000,
    ' 5M ': 300_000,
    '0': 0,
    '10000': 10_000,
  }
  expect(Object.fromEntries(Object.keys(read).map(text => [text, msFromText(text)]))).toEqual(read)
  for (const text of ['', 's', '10 s x', '-1s', '1e3', '10sec', '1.5ms', '1..5s', 'none', '99999999999999999999', '1h-30m', '∞', '0x10'])
    expect(msFromText(text), text).toBeUndefined()
})

test('[OPS-03] sizes as people write them', () => {
  const read = { '50MiB': 52_428_800, '1.5 GiB': 1_610_612_736, '64kb': 64_000, '64KB': 64_000, '7': 7, '7B': 7, '1TiB': 1024 ** 4, '0B': 0 }
  expect(Object.fromEntries(Object.keys(read).map(text => [text, bytesFromText(text)]))).toEqual(read)
  for (const text of ['', 'MiB', '-1', '1.5B', '0.1KiB', '10k', '1 PiB', '1e9', 'constructor', '1constructor', '99999999TiB'])
    expect(bytesFromText(text), text).toBeUndefined()
})

test('[OPS-03] printed texts are short', () => {
  expect([86_400_000, 7 * 86_400_000, 25_000, 60_000, 1500, 0].map(textFromMs)).toEqual(['1d', '7d', '25s', '1m', '1500ms', '0ms'])
  expect([52_428_800, 1024, 1000, 0].map(textFromBytes)).toEqual(['50MiB', '1KiB', '1000B', '0B'])
})
