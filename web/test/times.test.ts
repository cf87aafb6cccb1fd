import { expect, test } from 'vitest'
import { clock, clockAhead, inWords, secondsBehind, secondsSince, size } from '../src/times'

test('a clock shows minutes, and hours when there are some', () => {
  expect(clock(0)).toBe('0:00')
  expect(clock(42 * 60 + 18.9)).toBe('42:18')
  expect(clock(3723)).toBe('1:02:03')
  expect(clock(NaN)).toBe('0:00')
  expect(clock(-3)).toBe('0:00')
})

test('a delay has tenths only below ten seconds', () => {
  expect(secondsBehind(1.44)).toBe('1.4 s')
  expect(secondsBehind(9.96)).toBe('10 s')
  expect(secondsBehind(-1)).toBe('0.0 s')
})

test('a time that is missing or unreadable gives no seconds', () => {
  const now = Date.parse('2026-01-01T00:01:00Z')
  expect(secondsSince('2026-01-01T00:00:00Z', now)).toBe(60)
  expect(secondsSince('2026-01-01T00:02:00Z', now)).toBe(0)
  expect(secondsSince(null, now)).toBeNull()
  expect(secondsSince('yesterday', now)).toBeNull()
})

test('durations are said with the right number', () => {
  expect(inWords(1)).toBe('1 second')
  expect(inWords(120)).toBe('2 minutes')
  expect(inWords(3660)).toBe('1 hour 1 minute')
  expect(inWords(7200)).toBe('2 hours')
})

test('sizes have three digits or fewer', () => {
  expect(size(999)).toBe('999 B')
  expect(size(1234)).toBe('1.2 kB')
  expect(size(123_456_789)).toBe('123 MB')
})

test('a clock that agrees with the server within two seconds is not corrected', () => {
  const server = 'Thu, 01 Jan 2026 00:00:10 GMT'
  const at = Date.parse(server)
  expect(clockAhead(server, at + 900)).toBe(0)
  expect(clockAhead(server, at + 60_500)).toBe(60_000)
  expect(clockAhead(server, at - 59_500)).toBe(-60_000)
  expect(clockAhead(null, at)).toBe(0)
  expect(clockAhead('soon', at)).toBe(0)
})
