import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressFromText, addressKey, isLoopbackAddress } from './address.ts'

test.each([
  '127.0.0.1',
  '127.255.1.2',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '[::1]',
  '[::1]:80',
  '127.0.0.1:5000',
  '0:0:0:0:0:0:0:1',
  '::1%lo',
  ' 127.0.0.1 ',
])('[OPS-02] %j is loopback', text => {
  expect(isLoopbackAddress(text)).toBe(true)
})

test.each([
  undefined,
  '',
  'unknown',
  'localhost',
  '10.0.0.1',
  '0.0.0.0',
  '::',
  '128.0.0.1',
  '126.0.0.1',
  '127.1',
  '127.0.0.1.evil.com',
  '2130706433',
  '::ffff:10.0.0.1',
  '::2',
  'fe80::1%lo',
  '127.0.0.1, 10.0.0.1',
  '_hidden',
])('[OPS-02] %j is not loopback', text => expect(isLoopbackAddress(text)).toBe(false))

test('[OPS-03] failures are counted by IPv4 address, and by the /64 of IPv6', () => {
  expect(addressKey('::ffff:1.2.3.4')).toBe('1.2.3.4')
  expect(addressKey('1.2.3.4:99')).toBe('1.2.3.4')
  expect(addressKey('2001:db8:1:2:aaaa::1')).toBe('2001:db8:1:2::/64')
  expect(addressKey('2001:db8:1:2:bbbb:c:d:e')).toBe('2001:db8:1:2::/64')
  expect(addressKey('2001:db8::1')).toBe('2001:db8:0:0::/64')
  expect(addressKey('::1')).toBe('0:0:0:0::/64')
  expect(addressKey('nonsense')).toBe('unknown')
  expect(addressKey(undefined)).toBe('unknown')
})

test('[OPS-02] an address is read the same with and without brackets, and nothing throws', () => {
  fc.assert(fc.property(fc.ipV6(), address => addressFromText(address) === addressFromText(`[${address}]:443`)))
  fc.assert(fc.property(fc.ipV4(), address => addressFromText(address) === address))
  fc.assert(fc.property(fc.string(), text => typeof addressKey(text) === 'string'))
})
