import { expect, test } from 'vitest'
import { clock, clockAhead, countdown, inWords, localInput, secondsBehind, secondsSince, size, whenInWords } from '../src/times'

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

test('a countdown is rough while it is long, and counts seconds in the last minute', () => {
  expect(countdown(3 * 86_400 + 7)).toBe('in 3 days')
  expect(countdown(47 * 3600)).toBe('in 47 h')
  expect(countdown(2 * 3600 + 5 * 60 + 59)).toBe('in 2 h 5 min')
  expect(countdown(3600)).toBe('in 1 h')
  expect(countdown(3599)).toBe('in 59 min')
  expect(countdown(60)).toBe('in 1 min')
  expect(countdown(59.2)).toBe('in 60 s')
  expect(countdown(0.1)).toBe('in 1 s')
  expect(countdown(0)).toBe('Any moment now')
  expect(countdown(-600)).toBe('Any moment now')
  expect(countdown(NaN)).toBe('Any moment now')
})

test('a day is named by how near it is', () => {
  const now = new Date(2026, 10, 30, 18, 0).getTime()
  const at = (...when: [number, number, number, number, number]) => whenInWords(new Date(...when).getTime(), now)
  expect(at(2026, 10, 30, 23, 59)).toMatch(/^today at .*59/)
  expect(at(2026, 11, 1, 0, 0)).toMatch(/^tomorrow at /)
  expect(at(2026, 11, 2, 20, 0)).toMatch(/^on (?!.*2026).*2.* at /)
  expect(at(2027, 10, 30, 20, 0)).toMatch(/^on .*2027.* at /)
})

test('a moment is written for a field as its reader lives it', () => {
  expect(localInput(new Date(2026, 10, 30, 7, 5).getTime())).toBe('2026-11-30T07:05')
  expect(localInput(new Date(2026, 6, 1, 23, 59).getTime())).toBe('2026-07-01T23:59')
})
